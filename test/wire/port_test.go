// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// lets is which groups' frames the host's card is told to let in.
func (h *host) lets() map[neighbor.MAC]bool {
	h.t.Helper()
	out, err := h.run("cat", "/proc/net/dev_mcast")
	if err != nil {
		h.t.Fatal(err)
	}
	macs := map[neighbor.MAC]bool{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 5 && f[1] == h.card { // index, name, users, global, MAC
			b, err := hex.DecodeString(f[4])
			if err != nil || len(b) != 6 {
				h.t.Fatalf("%q: %v", line, err)
			}
			macs[neighbor.MAC(b)] = true
		}
	}
	return macs
}

// kernelGroups is how many groups the kernel's IPv6 has a list of on the host's card.
func (h *host) kernelGroups() int {
	h.t.Helper()
	out, err := h.run("cat", "/proc/net/igmp6")
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Count(out, h.card+" ")
}

// groupsOf is how many solicited-node groups the bridge knows behind that port.
func (l *lab) groupsOf(port string) int {
	out, _ := l.bench.run("bridge", "mdb", "show", "dev", "br0")
	return strings.Count(out, "port "+port+" grp ff02::1:ff")
}

// knows is whether the bridge knows of a member of the group behind that port. Until then
// it keeps the group's frames from it.
func (l *lab) knows(port string, group netip.Addr) func() bool {
	return func() bool {
		out, _ := l.bench.run("bridge", "mdb", "show", "dev", "br0")
		return strings.Contains(out, "port "+port+" grp "+group.String())
	}
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
		return func() bool { return n.lets()[groupMAC(group)] == want }
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

// Thousands of groups cost the kernel's IPv6 nothing, and the switch knows all of them, also after
// some of its membership intervals: in version 1 each takes a report, so it has to give them time.
func TestThousandsOfGroups(t *testing.T) {
	for version, settings := range map[string]string{
		"1": "mcast_query_interval 500 mcast_query_response_interval 400 mcast_membership_interval 1100",
		"2": "mcast_query_interval 300 mcast_query_response_interval 200 mcast_membership_interval 800",
	} {
		t.Run("version "+version, func(t *testing.T) {
			l := newLab(t)
			l.bench.ip("link set br0 type bridge mcast_last_member_interval 20 mcast_mld_version " + version + " " + settings)
			thousandsOfGroups(t, l, version == "2")
		})
	}
}

func thousandsOfGroups(t *testing.T, l *lab, few bool) {
	n := l.node("node1")
	own := n.kernelGroups()
	var es []neighbor.Entry
	for i := range 3000 {
		es = append(es, neighbor.Entry{Voice: true, Addr: netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})})
	}
	n.SetTable(neighbor.NewTable(n.Table().Self(), es))
	eventually(t, 10*time.Second, "joined", func() bool { return n.Counters().Groups == 3000 })
	all := func() bool { return l.groupsOf("node1") >= 3000 }
	eventually(t, 8*time.Second, "known to the bridge", all)
	if c := n.Counters(); c.GroupErrors != 0 || c.SendErrors != 0 {
		t.Errorf("counters %+v", c)
	}
	if got := len(n.lets()); got < 3000 {
		t.Errorf("the card lets in %d groups", got)
	}
	if got := n.kernelGroups(); got != own {
		t.Errorf("the kernel's IPv6 has %d groups, %d without ours", got, own)
	}
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if !all() {
			t.Fatalf("the switch knows %d groups; %+v", l.groupsOf("node1"), n.Counters())
		}
	}
	if c := n.Counters(); few && c.Reports > 60*(2+c.Queries) {
		t.Errorf("%d reports for 3000 groups and %d queries", c.Reports, c.Queries)
	}
	n.SetTable(neighbor.NewTable(n.Table().Self(), es[:5]))
	eventually(t, 5*time.Second, "most are left", func() bool { return l.groupsOf("node1") < 20 && len(n.lets()) < 30 })
	if c := n.Counters(); c.Groups != 5 {
		t.Errorf("counters %+v", c)
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
