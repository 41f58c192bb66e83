// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// A standby joins the group without a voice: the switch knows it and the card lets the
// group's frames in, so that once it speaks the very first solicitation arrives. Of a group
// that nobody joined, the switch keeps the frames from it.
func TestFirstSolicitationArrivesBehindASnoopingSwitch(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	client.sysctl("net.ipv6.neigh.eth0.mcast_solicit=1")
	n.SetTable(neighbor.NewTable(n.Table().Self(), []neighbor.Entry{{Addr: vip6, Join: true}}))
	group := neighbor.SolicitedNode(vip6)
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", group))
	if out := n.ip("maddr show dev eth0"); !strings.Contains(out, groupMAC(group).String()) || strings.Contains(out, group.String()) {
		t.Errorf("the card, and not IPv6, is to be a member of the group; it is of\n%s", out)
	}
	// The bridge floods until it believes in its querier.
	eventually(t, 5*time.Second, "the switch keeps other groups from the node", func() bool {
		stop := n.capture(client.mac.String())
		client.transmit(solicitation(client.mac, client.linkLocal(), netip.MustParseAddr("2001:db8::beef:1")),
			solicitation(client.mac, client.linkLocal(), vip6))
		ours, others := 0, 0
		for _, p := range stop() {
			if p.says("neighbor solicitation", "who has "+vip6.String()) {
				ours++
			} else if p.says("neighbor solicitation") {
				others++
			}
		}
		if ours != 1 {
			t.Fatalf("%d solicitations for the group arrived", ours)
		}
		return others == 0
	})
	n.SetTable(neighbor.NewTable(n.Table().Self(), []neighbor.Entry{{Addr: vip6, Voice: true}}))
	client.talk(vip6)
	eventually(t, 500*time.Millisecond, "resolved by one solicitation", func() bool { return client.at(vip6) == n.mac.String() })
}

// The cable is pulled and put back at the switch's end, which forgets what was behind it: the
// groups are reported again.
func TestGroupsAreReportedAgainWhenTheCableIsBack(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.speak()
	known := l.knows("node1", neighbor.SolicitedNode(vip6))
	eventually(t, 3*time.Second, "known to the bridge", known)
	l.bench.ip("link set node1 down")
	eventually(t, time.Second, "forgotten", func() bool { return !known() })
	l.bench.ip("link set node1 up")
	eventually(t, 5*time.Second, "known again", known)
	client.wantAnswer(n.mac.String())
	if c := n.Counters(); c.Dials != 1 {
		t.Errorf("%d attempts to open sockets: a port need not notice", c.Dials)
	}
}

// A switch forgets a member that does not answer its queries. Ours does, and goes on getting
// solicitations; a group that is left is forgotten soon.
func TestGroupsOutliveTheMembershipInterval(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	group := neighbor.SolicitedNode(vip6)
	known := l.knows("node1", group)
	l.bench.ip("link set br0 type bridge mcast_mld_version 2 mcast_query_interval 100 mcast_membership_interval 200 mcast_last_member_interval 20")
	n.speak()
	eventually(t, 3*time.Second, "known to the bridge", known)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if !known() {
			t.Fatal("the switch has forgotten the group")
		}
	}
	if c := n.Counters(); c.Queries < 3 || c.QueryDrops != 0 {
		t.Errorf("counters %+v", c)
	}
	client.wantAnswer(n.mac.String())
	n.SetTable(neighbor.NewTable(n.Table().Self(), nil))
	eventually(t, 5*time.Second, "left: the switch forgets the group", func() bool { return !known() })
}
