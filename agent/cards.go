// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"net/netip"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// maxWitnesses is how many peers are asked on an interface to prove that this node hears.
const maxWitnesses = 8

// peerFacts are the facts of a node.
type peerFacts struct {
	v1alpha1.Facts

	node   string
	object *coordinationv1.Lease
}

// card gives the card by which another node speaks for an address on the segment of this
// interface: that of its interface of the same name, else its first for the address.
func (l *loop) card(node string, addr netip.Addr, name string, patterns []v1alpha1.InterfacePattern) (neighbor.MAC, bool) {
	if node == "" || node == l.config.Node {
		return neighbor.MAC{}, false
	}
	var first neighbor.MAC
	for _, i := range l.peers[v1alpha1.FactsLease(node)].Choose(addr, patterns) {
		mac, err := neighbor.ParseMAC(i.MAC)
		if err != nil {
			continue
		}
		if i.Name == name {
			return mac, true
		}
		if first == (neighbor.MAC{}) {
			first = mac
		}
	}
	return first, first != neighbor.MAC{}
}

// setFacts takes the facts of a node. A watch that begins again brings those of all nodes, and
// none of them is new: what follows of them looks at every VIP, and waits for the end of the
// turn.
func (l *loop) setFacts(name string, f peerFacts) {
	old, known := l.peers[name]
	l.peers[name] = f
	if !known || old.node != f.node || !equality.Semantic.DeepEqual(old.Facts, f.Facts) {
		l.recarding = true
	}
}

// recard finds anew which card is whose, and who can witness for this node.
func (l *loop) recard() {
	l.recarding = false
	l.cards++
	clear(l.nodeOf)
	for _, name := range slices.Sorted(maps.Keys(l.peers)) {
		f := l.peers[name]
		for _, i := range f.Interfaces {
			if mac, err := neighbor.ParseMAC(i.MAC); err == nil {
				l.nodeOf[mac] = f.node
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.ports.links)) {
		l.rewitness(name)
	}
	for _, r := range l.reigns {
		l.guard(r, func() { l.follow(r) })
	}
}

// rewitness finds who can witness on an interface: the gateways, other nodes by their own
// addresses, and some neighbors that the kernel knows.
func (l *loop) rewitness(name string) {
	link := l.ports.links[name]
	of := map[bool][]detector.Witness{}
	add := func(w detector.Witness) {
		six := w.Addr.Is6()
		if !slices.ContainsFunc(of[six], func(o detector.Witness) bool { return o.Addr == w.Addr }) {
			of[six] = append(of[six], w)
		}
	}
	for _, a := range slices.Concat(link.Gateways4, link.Gateways6) {
		add(detector.Witness{Addr: a, Gateway: true})
	}
	peers := 0
	for _, facts := range slices.Sorted(maps.Keys(l.peers)) {
		if facts == v1alpha1.FactsLease(l.config.Node) || peers >= maxWitnesses {
			continue
		}
		peers++
		for _, i := range l.peers[facts].Interfaces {
			mac, err := neighbor.ParseMAC(i.MAC)
			if err != nil {
				continue
			}
			for _, text := range i.Prefixes {
				if p, err := netip.ParsePrefix(text); err == nil && onSubnet(link.Prefixes, p.Addr()) {
					add(detector.Witness{Addr: p.Addr(), Card: mac})
				}
			}
		}
	}
	for _, a := range link.Neighbors {
		if l.byAddr[a] == nil { // a peer's card has it, for now
			add(detector.Witness{Addr: a})
		}
	}
	addrs := l.witnesses[name][:0:0]
	for _, six := range []bool{false, true} {
		l.detector.Witnesses(l.now(), detector.Path{Interface: name, V6: six}, of[six])
		for _, w := range of[six] {
			addrs = append(addrs, w.Addr)
		}
	}
	if !slices.Equal(addrs, l.witnesses[name]) {
		l.witnesses[name] = addrs
		l.moved = true
		l.republish()
	}
}

// republish has the tables published at the end of the turn.
func (l *loop) republish() {
	for _, r := range l.reigns { // any one does
		l.mark(r)
		break
	}
}

func onSubnet(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
