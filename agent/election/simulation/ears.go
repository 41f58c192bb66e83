// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/netip"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

func (w *world) vip(iface string, addr netip.Addr) *address {
	return w.byAddr[addrKey{addr, segmentOf(iface)}]
}

// arrive takes a frame at the socket. A stopped process reads it later.
func (p *proc) arrive(s *segment, f frame) {
	if p.dead {
		return
	}
	at := p.clock()
	if p.still() {
		if len(p.parked) < 1000 {
			p.parked = append(p.parked, func() { p.receive(s, f, at) })
		}
		return
	}
	p.receive(s, f, at)
}

// receive is the port: it answers by itself, remembers higher voices, and tells the loop.
func (p *proc) receive(s *segment, f frame, at election.Time) {
	if !p.begun {
		return
	}
	if f.vip == nil {
		if f.kind == detector.WitnessAnswer {
			p.loop(func() {
				p.sound(detector.Sound{Kind: f.kind, Interface: interfaces[s.index], Addr: own(f.of, s.index, f.v6), From: f.card, Unicast: true, At: at})
			})
		}
		return
	}
	r := p.reigns[f.vip.lease]
	switch f.kind {
	case detector.Question:
		if p.clock()-at <= frameLimit || p.world.Flaw == GateWithoutAge {
			p.answer(r, f)
		}
		if !f.mark.set {
			return
		}
	case detector.Answer, detector.Claim:
		p.remember(r, f)
	default:
	}
	if r.speaks && f.kind != detector.Question && p.world.rng.IntN(20) == 0 { // the loop is busy
		p.plan(p.world.between(0, 30*time.Millisecond), func() { p.loop(func() { p.heard(s, r, f, at) }) })
		return
	}
	p.loop(func() { p.heard(s, r, f, at) })
}

// answer answers a question if the gate is open.
func (p *proc) answer(r *reign, f frame) {
	if !p.openAddress(r, f.vip) {
		return
	}
	a := p.frame(r, f.vip, detector.Answer)
	a.mark.nonce = f.mark.nonce
	p.send(a, f.card)
}

// heard hands a sound to the machines.
func (p *proc) heard(s *segment, r *reign, f frame, at election.Time) {
	if f.card == p.host.cards[s.index] {
		return
	}
	sound := detector.Sound{
		Kind: f.kind, Interface: interfaces[s.index], Addr: f.vip.addr, From: f.card, Unicast: !f.all, At: at,
		Transitions: f.mark.transitions, Standing: uint8(f.mark.standing), Nonce: f.mark.nonce, Flags: f.mark.flags,
		SameLease: f.mark.set && (f.mark.uid == r.state.Lease().UID || r.speaks && f.mark.uid == r.voice.UID),
	}
	p.det.Heard(p.clock(), sound)
	if f.mark.set {
		p.word(s, r, f, at, sound.SameLease)
	}
	p.detect()
}

// word hands what a mark says to the election.
func (p *proc) word(s *segment, r *reign, f frame, at election.Time, same bool) {
	v := election.Voice{
		Node: p.nameOf(s, f.card), Transitions: f.mark.transitions, Standing: f.mark.standing,
		Lower: lower(f.card, p.host.cards[s.index]), Vouched: f.kind == detector.Vouching,
	}
	if same {
		v.LeaseUID = f.mark.uid
	}
	lease := r.state.Lease()
	recorded := f.kind != detector.Claim && !detector.Fresh(at, f.mark.nonce) ||
		f.kind == detector.Claim && same && f.mark.transitions <= lease.Transitions && v.Node == lease.Holder
	if recorded && (f.kind == detector.Vouching || !r.speaks && (f.kind == detector.Answer || f.kind == detector.Claim)) {
		return // perhaps: it shows nothing
	}
	switch f.kind {
	case detector.Answer, detector.Claim:
		if p.world.Flaw == DeafToClaims || p.world.Flaw == StandingIgnored && f.mark.transitions == r.voice.Transitions {
			return
		}
		p.step(r, election.Heard{Voice: v})
	case detector.Vouching:
		if r.phase == election.Asking || r.phase == election.Swapping {
			p.step(r, election.Heard{Voice: v})
		}
	case detector.Leaving:
		if p.world.Flaw != DeafToFarewells {
			p.step(r, election.Left{Node: v.Node})
		}
	default:
	}
}

func (p *proc) nameOf(s *segment, card detector.MAC) string {
	for _, h := range p.world.hosts {
		if h.cards[s.index] == card {
			return h.name
		}
	}
	return ""
}

func lower(a, b detector.MAC) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
