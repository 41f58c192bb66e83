// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// claims are the times, in milliseconds, at which a new voice announces itself.
var claims = [...]int{0, 50, 200, 1300, 2400, 3500, 4600}

// step steps a machine and does what it asks for.
func (p *proc) step(r *reign, ev election.Event) {
	if !p.begun {
		return
	}
	w, now := p.world, p.clock()
	state, actions := election.Step(r.state, now, ev)
	before, voice := r.phase, r.voice
	r.state = state
	r.keep()
	if r.phase != before {
		w.logf("%s/%d: %s to %s on %s", p.host.name, r.lease, before, r.phase, what(ev))
	}
	if state.Wake() <= now {
		w.check.failf("spin: %s wants to be woken at once", p.host.name)
	}
	for _, a := range actions {
		p.act(r, a)
	}
	if r.speaks && (r.voice.UID != voice.UID || r.voice.Transitions != voice.Transitions) {
		p.claim(r) // a voice that is new, or goes on in another epoch
	}
	p.timer(r)
	p.pollAll()
	p.follow(r)
	p.detect()
	if p.leaving && r.phase == election.Idle {
		p.left()
	}
}

func what(ev election.Event) string { return fmt.Sprintf("%T", ev)[len("election."):] }

// keep takes from the state what the gate looks at.
func (r *reign) keep() {
	s := &r.state
	r.phase = s.Phase()
	r.voice, r.speaks = s.Voice()
	if r.muted && !s.Muted() {
		r.resumed = r.proc.world.now
	}
	r.muted, r.standing, r.echo = s.Muted(), s.Standing(), s.NeedsEcho()
	r.until = r.proc.heart.Until(r.proc.config)
}

func (p *proc) act(r *reign, a election.Action) {
	w, s := p.world, p.world.store
	switch a := a.(type) {
	case election.Ask:
		p.ask(r, a)
	case election.ReadLease:
		var got election.Lease
		p.call(beatTime, func() { got = s.leases[r.lease] }, func(ok bool) {
			p.step(r, election.LeaseRead{Lease: got, OK: ok})
		})
	case election.Swap:
		p.swap(r, a)
	case election.Farewell:
		w.logf("%s/%d: says farewell", p.host.name, r.lease)
		p.toCandidates(r, detector.Leaving)
	case election.Speak:
		w.logf("%s/%d: speaks, standing %d: %s (from %q, took %s)", p.host.name, r.lease, r.standing, a.Why, a.From, a.Took)
		w.check.spoke(p, r, a)
	case election.Hush:
		w.logf("%s/%d: silent: %s (to %q)", p.host.name, r.lease, a.Why, a.To)
	default:
		panic(fmt.Sprintf("unknown action %T", a))
	}
}

// swap writes in its turn, for which it waits where the server is slow; what was overtaken by then
// is not sent.
func (p *proc) swap(r *reign, a election.Swap) {
	w, s := p.world, p.world.store
	if s.slow > 0 && w.chance(0.3) {
		p.plan(w.between(0, time.Second), func() {
			if r.state.Doubted() || r.state.Lease().ResourceVersion != a.Lease.ResourceVersion {
				w.logf("%s/%d: write for %q: not sent", p.host.name, r.lease, a.Holder)
				p.step(r, election.SwapDone{Attempt: a.Attempt, Unsent: true})
				return
			}
			p.write(r, a)
		})
		return
	}
	p.write(r, a)
}

func (p *proc) write(r *reign, a election.Swap) {
	w, s := p.world, p.world.store
	w.check.tries(p, r, a)
	var got election.Lease
	var written bool
	p.call(swapTime, func() { got, written = s.swap(p, r.lease, a) }, func(ok bool) {
		done := election.SwapDone{Attempt: a.Attempt, OK: ok && written, Lease: got, Conflict: ok && !written}
		if w.Flaw == SwapsBelieved {
			done.OK, done.Lease = true, a.Lease
			done.Lease.Holder, done.Lease.Transitions = a.Holder, a.Transitions
		}
		w.logf("%s/%d: write for %q: ok %t", p.host.name, r.lease, a.Holder, done.OK)
		p.step(r, done)
	})
}

// timer plans the Tick that a machine wants.
func (p *proc) timer(r *reign) {
	wake := r.state.Wake()
	if wake == r.wake {
		return
	}
	r.wake = wake
	if wake == election.Never || p.world.Flaw == NoTicks {
		return
	}
	p.at(wake, func() {
		if r.wake != wake {
			return
		}
		r.wake = election.Never
		p.step(r, election.Tick{})
	})
}

// claim announces a new voice while it lasts, to all and to the cards that must not miss it.
func (p *proc) claim(r *reign) {
	voice, standing := r.voice, r.standing
	if p.world.Flaw == NoClaims {
		return
	}
	for _, ms := range claims {
		p.plan(time.Duration(ms)*time.Millisecond, func() {
			if !r.speaks || r.voice.UID != voice.UID || r.voice.Transitions != voice.Transitions || r.standing < standing {
				return
			}
			for i, a := range p.world.placesOf(r.lease) {
				if !p.open(r, i) {
					continue
				}
				f := p.frame(r, a, detector.Claim)
				p.send(f, broadcast)
				for _, card := range p.peerCards(r, a) {
					p.send(f, card)
				}
			}
		})
	}
}

func (w *world) placesOf(lease int) []*address { return w.check.byLease[lease] }

// frame makes a marked frame.
func (p *proc) frame(r *reign, a *address, kind detector.Kind) frame {
	epoch := r.state.Lease()
	if r.speaks {
		epoch = r.voice
	}
	return frame{
		kind: kind, vip: a, from: p.host.index, card: p.host.cards[a.place.Segment],
		mark: mark{uid: epoch.UID, transitions: epoch.Transitions, standing: r.standing, set: true},
	}
}

// send puts a frame on the segment of its address, unless a port filter takes it.
func (p *proc) send(f frame, to detector.MAC) {
	seg := f.vip.place.Segment
	if p.host.mute[seg] > 0 && (f.kind == detector.Answer || f.kind == detector.Claim) {
		return
	}
	p.world.segments[seg].send(f, to)
}

// peerCards are the cards of the Lease's holder and of the candidates.
func (p *proc) peerCards(r *reign, a *address) []detector.MAC {
	nodes := append([]string{r.state.Lease().Holder}, r.state.Policy().Candidates...)
	var out []detector.MAC
	for _, n := range nodes {
		if card := p.cardOf(n, a.place.Segment); card != (detector.MAC{}) && !slices.Contains(out, card) {
			out = append(out, card)
		}
	}
	return out
}

// cardOf is another node's card as the facts have it; zero: none.
func (p *proc) cardOf(node string, seg int) detector.MAC {
	for _, h := range p.world.hosts {
		if h.name == node && h != p.host {
			return h.cards[seg]
		}
	}
	return detector.MAC{}
}

// ask puts an election's question on the wire.
func (p *proc) ask(r *reign, a election.Ask) {
	if p.world.Flaw == NoQuestions {
		return
	}
	r.asked++
	for _, vip := range p.world.placesOf(r.lease) {
		if p.host.down[vip.place.Segment] > 0 {
			continue
		}
		f := p.frame(r, vip, detector.Question)
		f.zero, f.mark.nonce = r.asked%2 == 1, detector.Nonce(p.clock())
		if a.Node != "" {
			if card := p.cardOf(a.Node, vip.place.Segment); card != (detector.MAC{}) {
				p.send(f, card)
			}
			continue
		}
		p.send(f, broadcast)
		for _, card := range p.peerCards(r, vip) {
			p.send(f, card)
		}
	}
}

func (p *proc) toCandidates(r *reign, kind detector.Kind) {
	for _, vip := range p.world.placesOf(r.lease) {
		f := p.frame(r, vip, kind)
		for _, card := range p.peerCards(r, vip) {
			p.send(f, card)
		}
	}
}
