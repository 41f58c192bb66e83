// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"net/netip"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// kindOf names what was heard as the detector does; zero: it is not concerned.
func kindOf(h neighbor.Heard) detector.Kind {
	if !h.Marked {
		switch h.Sound {
		case neighbor.HeardWitness:
			return detector.WitnessAnswer
		case neighbor.HeardAnswer:
			return detector.BareAnswer
		default:
			return 0
		}
	}
	switch h.Sound {
	case neighbor.HeardAnswer:
		return detector.Answer
	case neighbor.HeardClaim:
		return detector.Claim
	case neighbor.HeardQuestion:
		return detector.Question
	case neighbor.HeardVouch:
		return detector.Vouching
	case neighbor.HeardLeaving:
		return detector.Leaving
	default:
		return 0
	}
}

// heard hands on what a port heard. Who speaks without a mark is no agent: its voice neither
// keeps a Lease nor ends one.
func (l *loop) heard(h wire.Heard) {
	if l.ports.own(h.MAC) {
		return
	}
	l.heardOther(h)
	s := detector.Sound{
		Kind: kindOf(h.Heard), Interface: h.Interface, Addr: h.Addr, From: h.MAC, Unicast: h.Unicast, At: h.At,
		Transitions: int32(h.Mark.Transitions), Standing: uint8(h.Mark.Standing), Nonce: h.Mark.Nonce, Flags: h.Mark.Flags,
	}
	if s.Kind == 0 {
		return
	}
	r := l.byAddr[h.Addr]
	if r != nil && h.Marked {
		s.SameLease = r.leaseID(r.state.Lease().UID) == h.Mark.LeaseUID
		l.heardSpeaker(r, h, s.SameLease)
	}
	l.detector.Heard(l.now(), s)
	if r == nil || !h.Marked {
		return
	}
	l.tellElection(r, h, s)
	for _, o := range l.also[h.Addr] { // it is no less spoken for
		s.SameLease = o.leaseID(o.state.Lease().UID) == h.Mark.LeaseUID
		l.tellElection(o, h, s)
	}
}

// tellElection tells the election of the address what concerns it. What waited through a
// stall says nothing of who answers now; but a claim stays one.
func (l *loop) tellElection(r *reign, h wire.Heard, s detector.Sound) {
	stale := l.now()-h.At > neighbor.FrameLimit
	fresh := !stale && detector.Fresh(h.At, h.Mark.Nonce)
	switch h.Sound {
	case neighbor.HeardAnswer:
		// Who speaks heeds every other voice; who might, only what cannot have been recorded.
		if _, speaks := r.state.Voice(); fresh || speaks && !stale {
			l.step(r, election.Heard{Voice: l.voice(r, h, s)})
		}
	case neighbor.HeardClaim:
		// Who speaks in the present epoch is known, and asked: a claim shows nothing new.
		lease := r.state.Lease()
		known := s.SameLease && s.Transitions <= lease.Transitions && l.nodeOf[h.MAC] == lease.Holder
		if _, speaks := r.state.Voice(); speaks || !known {
			l.step(r, election.Heard{Voice: l.voice(r, h, s)})
		}
	case neighbor.HeardVouch:
		if v := l.voice(r, h, s); fresh {
			v.Vouched = true
			l.step(r, election.Heard{Voice: v})
		}
	case neighbor.HeardLeaving:
		if s.SameLease && !stale && s.Transitions >= r.state.Lease().Transitions { // not of an earlier reign, heard again
			l.step(r, election.Left{Node: l.nodeOf[h.MAC]})
		}
	default:
	}
}

// voice gives a marked sound as the election knows it.
func (l *loop) voice(r *reign, h wire.Heard, s detector.Sound) election.Voice {
	own := l.ports.links[h.Interface].MAC
	v := election.Voice{
		Node: l.nodeOf[h.MAC], Addr: h.Addr, Transitions: s.Transitions, Standing: election.Standing(h.Mark.Standing),
		Lower: bytes.Compare(h.MAC[:], own[:]) < 0,
	}
	if s.SameLease {
		v.LeaseUID = r.state.Lease().UID
	}
	return v
}

// ask puts a question for every address on every port that carries it: to everyone and to
// the cards of all who may know, as some fabrics flood no such question; or to one node's.
func (l *loop) ask(r *reign, a election.Ask) {
	if r.announcement == nil {
		return
	}
	nodes := []string{a.Node}
	if a.Node == "" {
		nodes = append([]string{r.state.Lease().Holder}, r.announcement.Spec.Candidates...)
	}
	mark := l.markOf(r, neighbor.MarkQuestion)
	mark.Standing, mark.Nonce = neighbor.Standing(r.state.Standing()), detector.Nonce(l.now())
	l.each(r, nodes, func(name string, addr netip.Addr, cards []neighbor.MAC) {
		if a.Node == "" {
			cards = append(cards, neighbor.Broadcast())
		}
		l.ports.say(name, addr, cards, neighbor.OwnAddress, mark)
	})
}

// farewell tells the candidates' cards that this node ends.
func (l *loop) farewell(r *reign) {
	if r.announcement == nil {
		return
	}
	mark := l.markOf(r, neighbor.MarkLeaving)
	mark.Standing = neighbor.Standing(r.state.Standing())
	l.each(r, r.announcement.Spec.Candidates, func(name string, addr netip.Addr, cards []neighbor.MAC) {
		l.ports.say(name, addr, append(cards, neighbor.Broadcast()), neighbor.OwnAddress, mark)
	})
}

// markOf gives a mark for a reign's present epoch.
func (l *loop) markOf(r *reign, k neighbor.Kind) neighbor.Mark {
	epoch := r.state.Lease()
	return neighbor.Mark{Kind: k, LeaseUID: r.leaseID(epoch.UID), Transitions: uint32(epoch.Transitions)}
}

// each visits every address of the reign on every interface that carries it, with the cards
// that some nodes have there.
func (l *loop) each(r *reign, nodes []string, visit func(name string, addr netip.Addr, cards []neighbor.MAC)) {
	for _, c := range r.carried {
		if c.held {
			continue
		}
		for _, i := range c.on {
			var cards []neighbor.MAC
			for _, n := range nodes {
				if mac, ok := l.card(n, c.addr, i.Name, r.announcement.Spec.Interfaces); ok {
					cards = append(cards, mac)
				}
			}
			visit(i.Name, c.addr, cards)
		}
	}
}
