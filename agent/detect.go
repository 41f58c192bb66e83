// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/netip"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// part is what the detector's view of a reign depends on.
type part struct {
	role        detector.Role
	near        bool
	since       election.Time
	transitions int32
	holder      string
	ghost       string
	carried     *carried // its first; another after each change
	cards       int
}

// follow tells the detector what this node has to do with a reign's addresses, if that is
// something else than before.
func (l *loop) follow(r *reign) {
	lease := r.state.Lease()
	p := part{since: r.state.Since(), transitions: lease.Transitions, holder: lease.Holder, ghost: r.state.Ghost(), cards: l.cards}
	if r.used > 0 && r.announcement != nil {
		p.carried = &r.carried[0]
		_, speaks := r.state.Voice()
		stands, near := r.state.Stands()
		switch {
		case speaks || lease.Holder == l.config.Node:
			p.role = detector.Speak
		case stands:
			p.role, p.near = detector.Stand, near
		}
	}
	if p == r.seen {
		return
	}
	r.seen = p
	v := detector.View{Role: p.role, Near: p.near, Since: p.since, Transitions: p.transitions}
	if p.role != detector.Away {
		for _, c := range r.carried {
			if c.held {
				continue
			}
			for _, i := range c.on {
				place := detector.Place{Addr: c.addr, Interface: i.Name}
				place.Speaker, _ = l.card(p.holder, c.addr, i.Name, r.announcement.Spec.Interfaces)
				place.Ghost, _ = l.card(p.ghost, c.addr, i.Name, r.announcement.Spec.Interfaces)
				v.Places = append(v.Places, place)
			}
		}
	}
	l.detector.Follow(l.now(), r.name, v)
}

// detect carries out what the detector wants, until it wants no more: what it tells an
// election may change what it has to follow.
func (l *loop) detect() {
	for range 8 {
		outputs := l.detector.Take()
		if len(outputs) == 0 {
			return
		}
		for _, o := range outputs {
			l.output(o)
		}
	}
}

func (l *loop) output(o detector.Output) {
	switch o := o.(type) {
	case detector.Ask:
		l.say(o.Lease, o.Interface, o.Addr, o.To, o.Zero, neighbor.Mark{Kind: neighbor.MarkQuestion, Nonce: o.Nonce, Flags: o.Flags})
	case detector.AskWitness:
		l.ports.probe(o.Interface, o.Addr, o.To)
	case detector.Vouch:
		l.say(o.Lease, o.Interface, o.Addr, o.To, false, neighbor.Mark{Kind: neighbor.MarkVouch, Transitions: uint32(o.Transitions), Nonce: o.Nonce})
	case detector.Dead:
		l.tell(o.Lease, election.Dead{Addrs: o.Addrs, Since: o.Since, Unheard: o.Unheard})
	case detector.Audible:
		l.tell(o.Lease, election.Audible{OK: o.OK})
	case detector.Contacted:
		l.tell(o.Lease, election.Contacted{})
	case detector.Ghost:
		l.claims = append(l.claims, claimTo{o.Interface, o.Addr, o.Card})
	}
}

func (l *loop) tell(lease string, ev election.Event) {
	if r := l.reigns[lease]; r != nil {
		l.step(r, ev)
	}
}

func (l *loop) say(lease, name string, addr netip.Addr, to neighbor.MAC, zero bool, m neighbor.Mark) {
	r := l.reigns[lease]
	if r == nil {
		return
	}
	epoch := r.state.Lease()
	m.LeaseUID = r.leaseID(epoch.UID)
	if m.Kind == neighbor.MarkQuestion {
		m.Transitions = uint32(epoch.Transitions)
	}
	form := neighbor.OwnAddress
	if zero {
		form = neighbor.ZeroSender
	}
	l.ports.say(name, addr, []neighbor.MAC{to}, form, m)
}

// claimTo is a claim that is to be sent to one card.
type claimTo struct {
	name string
	addr netip.Addr
	card neighbor.MAC
}

// claimBatch is how many claims are sent in one turn: thousands at once would hold the loop up
// for so long that it counts as a stall.
const claimBatch = 128

// claim sends claims that waited for the tables, and tells whether there are more.
func (l *loop) claim() (more bool) {
	n := min(len(l.claims), claimBatch)
	for _, c := range l.claims[:n] {
		l.ports.claimTo(c.name, c.addr, c.card)
	}
	l.claims = append(l.claims[:0], l.claims[n:]...)
	return len(l.claims) > 0
}

// claimAround claims towards the cards of who spoke before, of the candidates, and of the
// gateways, whom a broadcast may not reach.
func (l *loop) claimAround(r *reign, from string) {
	nodes := append([]string{from}, r.announcement.Spec.Candidates...)
	l.each(r, nodes, func(name string, addr netip.Addr, cards []neighbor.MAC) {
		for _, mac := range append(cards, l.gatewaysFor(name, addr)...) {
			l.claims = append(l.claims, claimTo{name, addr, mac})
		}
	})
}

// stalled interrupts every voice when the loop stood still for longer than the gate allows.
// It comes before the next tick, so nobody speaks in between.
func (l *loop) stalled() {
	if gap := l.now() - l.ticked; l.ticked != 0 && gap > neighbor.TickLimit {
		l.log.V(1).Info("the loop stood still", "for", gap.String())
		l.interrupt(func(*reign) bool { return true })
	}
}

// interrupt interrupts some elections. A heartbeat that comes back tells them all what they
// missed.
func (l *loop) interrupt(which func(*reign) bool) {
	some := false
	for _, r := range l.reigns {
		if which(r) {
			some = true
			l.step(r, election.Interrupted{})
		}
	}
	if some && l.hurry != nil {
		l.hurry()
	}
}
