// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"testing"

	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// The question of duplicate address detection is one for those who know the RFC, and a peer's
// for peers.
func TestSolicitation(t *testing.T) {
	self := neighbor.Self{MAC: node2, Cluster: [8]byte{1}, Incarnation: [8]byte{2}, Key: neighbor.Key{3}}
	frame := Solicitation(self, vip6, neighbor.Mark{Nonce: 7})
	m, err := ndp.ParseMessage(frame[14+40:])
	ns, ok := m.(*ndp.NeighborSolicitation)
	if err != nil || !ok || ns.TargetAddress != vip6 {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, o := range ns.Options {
		if l, ok := o.(*ndp.LinkLayerAddress); ok {
			t.Errorf("option %+v", l)
		}
	}
	peer := neighbor.Self{MAC: MAC{2, 0, 0, 0, 0, 3}, Cluster: self.Cluster, Incarnation: [8]byte{9}, Key: self.Key}
	table := neighbor.NewTable(peer, []neighbor.Entry{{Addr: vip6}})
	if v := table.Decide(nil, frame, neighbor.Gate{}); v.Heard.Sound != neighbor.HeardQuestion || !v.Heard.Marked || v.Heard.Mark.Nonce != 7 {
		t.Errorf("a peer hears %+v", v)
	}
	peer.Key = neighbor.Key{}
	if v := neighbor.NewTable(peer, []neighbor.Entry{{Addr: vip6}}).Decide(nil, frame, neighbor.Gate{}); v.Heard.Sound != neighbor.HeardProbe || v.Heard.Marked {
		t.Errorf("a stranger hears %+v", v)
	}
}
