// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// An MTU too small for IPv6 (1280, RFC 8200 section 5) ends it on the interface, and the link-local
// address goes. The switch forgets the groups meanwhile; they are reported again when it is back.
func TestGroupsComeBackAfterAnMTUTooSmallForIPv6(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.bench.ip("link set br0 type bridge mcast_query_interval 100 mcast_membership_interval 200 mcast_last_member_interval 20")
	l.speak(n)
	known := l.knows("node1", neighbor.SolicitedNode(vip6))
	w := watch(t, &host{t: t, ns: n.ns})
	mtu := func(octets string, want int) {
		n.ip("link set eth0 mtu " + octets)
		w.until("MTU "+octets, func(s link.Snapshot) bool {
			i, ok := s.Find("eth0")
			return ok && i.MTU == want
		})
		n.speak() // as the agent does when the link changes
	}
	mtu("1200", 1200)
	if n.Table().Self().LinkLocal.IsValid() {
		t.Error("there is a link-local address")
	}
	eventually(t, 5*time.Second, "forgotten", func() bool { return !known() })
	if c := n.Counters(); c.GroupErrors == 0 {
		t.Errorf("groups that cannot be reported are not counted: %+v", c)
	}
	l.bench.ip("link set br0 type bridge mcast_query_interval 10000") // nobody asks
	mtu("1500", 1500)
	eventually(t, 2*time.Second, "known again", known)
	client.wantAnswer(n.mac.String())
}
