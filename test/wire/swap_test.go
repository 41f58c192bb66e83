// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Two cards change their names while they are up. The port is that of the name: told of the new
// card, it leaves the old one.
func TestPortFollowsItsNameToAnotherCard(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.second(n.host, "cable1")
	n.ip("addr add 198.51.100.1/24 dev eth1")
	n.ip("link set eth1 up")
	w := watch(t, &host{t: t, ns: n.ns})
	n.speak()
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", neighbor.SolicitedNode(vip6)))
	client.wantAnswer(n.mac.String())
	before := n.mac
	n.ip("link set eth0 name old0")
	n.ip("link set eth1 name eth0")
	w.until("another card", func(s link.Snapshot) bool {
		i, ok := s.Find("eth0")
		return ok && i.MAC != before
	})
	n.readMAC()
	n.speak()
	eventually(t, 3*time.Second, "joined on the new card", l.knows("cable1", neighbor.SolicitedNode(vip6)))
	cable := &host{t: t, ns: l.bench.ns, card: "node1"}
	stop := cable.capture(n.mac.String())
	client.wantAnswer(n.mac.String())
	for _, p := range stop() {
		t.Errorf("came out of the old card:\n%s", p.text)
	}
}
