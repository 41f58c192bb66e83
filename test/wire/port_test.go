// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// groups is what the kernel says the host's interface is a member of.
func (h *host) groups() map[string]bool {
	h.t.Helper()
	out, err := h.run("cat", "/proc/net/igmp6")
	if err != nil {
		h.t.Fatal(err)
	}
	groups := map[string]bool{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == h.card {
			groups[f[2]] = true
		}
	}
	return groups
}

// knows is whether the bridge knows of a member of the group behind that port. Until then
// it keeps the group's frames from it.
func (l *lab) knows(port string, group netip.Addr) func() bool {
	return func() bool {
		out, _ := l.bench.run("bridge", "mdb", "show", "dev", "br0")
		return strings.Contains(out, "port "+port+" grp "+group.String())
	}
}

func inHex(a netip.Addr) string {
	b := a.As16()
	return fmt.Sprintf("%x", b[:])
}

// Two addresses share a group: it is left with the last of them. The bridge snoops, so it
// learns of the member, and solicitations of a client arrive.
func TestSolicitedNodeGroupsAreJoinedAndLeftByCount(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	twin := netip.MustParseAddr("2001:db8:1::f0:240")
	group := neighbor.SolicitedNode(vip6)
	joined := func(want bool) func() bool {
		return func() bool { return n.groups()[inHex(group)] == want }
	}
	n.SetTable(n.table(true, twin))
	eventually(t, time.Second, "joined", joined(true))
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", group))
	client.wantAnswer(n.mac.String())
	self := n.Table().Self()
	n.SetTable(neighbor.NewTable(self, []neighbor.Entry{{Addr: twin, Join: true}}))
	time.Sleep(50 * time.Millisecond)
	if !joined(true)() {
		t.Error("left while another address needs it")
	}
	n.SetTable(neighbor.NewTable(self, []neighbor.Entry{{Addr: twin}}))
	eventually(t, time.Second, "left", joined(false))
	if c := n.Counters(); c.Groups != 0 || c.GroupErrors != 0 {
		t.Errorf("counters %+v", c)
	}
}

// One socket is a member of some 2300 groups at most, by net.core.optmem_max.
func TestThousandsOfGroupsAreSpreadOverSockets(t *testing.T) {
	l := newLab(t)
	n := l.node("node1")
	var es []neighbor.Entry
	for i := range 3000 {
		es = append(es, neighbor.Entry{Voice: true, Addr: netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})})
	}
	n.SetTable(neighbor.NewTable(n.Table().Self(), es))
	eventually(t, 10*time.Second, "joined", func() bool { return n.Counters().Groups == 3000 })
	if c := n.Counters(); c.GroupErrors != 0 {
		t.Errorf("counters %+v", c)
	}
	if got := len(n.groups()); got < 3000 {
		t.Errorf("the kernel knows %d groups", got)
	}
}

func TestPortSurvivesAFlapOfTheLink(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	client.wantAnswer(n.mac.String())
	n.ip("link set eth0 down")
	eventually(t, time.Second, "the port knows", func() bool { return !n.Ready() })
	if s := n.State(); s.Err == nil || !strings.Contains(s.Err.Error(), "network is down") {
		t.Errorf("state %+v", s)
	}
	time.Sleep(500 * time.Millisecond)
	if dials := n.Counters().Dials; dials > 10 {
		t.Errorf("%d attempts within half a second", dials)
	}
	n.ip("link set eth0 up")
	n.SetTable(n.table(true)) // as the agent does when the link changes
	eventually(t, 300*time.Millisecond, "up again", n.Ready)
	eventually(t, 3*time.Second, "joined again", l.knows("node1", neighbor.SolicitedNode(vip6)))
	client.wantAnswer(n.mac.String())
}

// The interface goes and comes back: another index, another MAC, another cable.
func TestPortSurvivesItsInterface(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	client.wantAnswer(n.mac.String())
	old := n.mac
	n.ip("link del eth0")
	eventually(t, time.Second, "the port knows", func() bool { return !n.Ready() })
	n.ip("link add taken type bridge") // takes the next index
	n.ip("link add eth0 type veth peer name again netns " + l.bench.ns)
	l.bench.ip("link set again master br0 up")
	n.ip("link set eth0 up")
	n.readMAC()
	if n.mac == old {
		t.Fatal("the card came back with its old MAC")
	}
	n.speak()
	eventually(t, 3*time.Second, "up again", n.Ready)
	eventually(t, 3*time.Second, "joined again", l.knows("again", neighbor.SolicitedNode(vip6)))
	client.wantAnswer(n.mac.String())
}
