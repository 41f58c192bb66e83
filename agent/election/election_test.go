// SPDX-License-Identifier: Apache-2.0

package election

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// player steps one machine, the node "n", through a story.
type player struct {
	*testing.T

	state  State
	now    Time
	done   []Action // since the last look
	beatAt Time     // when the last heartbeat was sent
}

const second = time.Second

func newPlayer(t *testing.T) *player {
	return &player{T: t, state: State{Config: Defaults("n")}, now: 1000 * second}
}

func (p *player) step(evs ...Event) *player {
	for _, ev := range evs {
		var as []Action
		p.state, as = Step(p.state, p.now, ev)
		p.done = append(p.done, as...)
		if p.state.Wake() <= p.now {
			p.Fatalf("%s: wants to be woken at once after %T", p.state.phase, ev)
		}
		again, more := Step(p.state, p.now, Tick{})
		if len(more) > 0 || again.phase != p.state.phase {
			p.Fatalf("%s: a second look at %T does more: %v", p.state.phase, ev, more)
		}
	}
	return p
}

// pass lets time go by, with the Ticks that the machine wants.
func (p *player) pass(d time.Duration) *player {
	end := p.now + d
	for p.state.Wake() <= end {
		p.now = p.state.Wake()
		p.step(Tick{})
	}
	p.now = end
	return p
}

// live is pass with heartbeats that come back.
func (p *player) live(d time.Duration) *player {
	for end := p.now + d; p.now < end; {
		p.pulse()
		p.pass(min(p.state.Config.BeatEvery, end-p.now))
	}
	return p
}

func (p *player) pulse() *player {
	p.beatAt = p.now
	return p.step(Pulse{Heart: p.state.heart.Echoed(p.now, p.state.Config.BeatEvery)})
}

// policy brings a policy with these candidates.
func (p *player) policy(candidates ...string) *player {
	return p.step(PolicySeen{Policy: policy(candidates...)})
}

func policy(candidates ...string) Policy {
	vip := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	return Policy{ServiceUID: "s", Addresses: vip, Servable: vip, Candidates: candidates}
}

func lease(holder string, transitions int32) Lease {
	return Lease{UID: "u", Transitions: transitions, ResourceVersion: "r", Holder: holder, ServiceUID: "s"}
}

func (p *player) lease(holder string, transitions int32) *player {
	return p.step(LeaseSeen{Lease: lease(holder, transitions)})
}

// peer brings a heartbeat of another node, read just now.
func (p *player) peer(node, seen string) *player {
	return p.step(PeerBeat{Node: node, Asked: p.now, Came: p.now, Seen: seen})
}

// swapped answers the last Swap.
func (p *player) swapped(ok bool) *player {
	p.Helper()
	done := SwapDone{Attempt: p.state.attempt, OK: ok}
	if ok {
		done.Lease = p.state.wrote
		done.Lease.ResourceVersion, done.Lease.ServiceUID = "r2", "s"
	}
	return p.step(done)
}

func (p *player) hear(transitions int32) *player { return p.hearFrom("o", transitions) }

func (p *player) hearFrom(node string, transitions int32) *player {
	return p.step(Heard{Voice: Voice{Node: node, LeaseUID: "u", Transitions: transitions, Standing: Held}})
}

// silentOwner is a standby whose owner "o" has not beaten for a Lease's duration.
func silentOwner(t *testing.T) *player {
	p := newPlayer(t).policy("o", "n").lease("o", 3)
	for range 3 {
		p.pulse().peer("o", "beat").pass(2 * second)
	}
	return p.pulse().peer("o", "beat")
}

// speaker speaks in epoch 3, with the candidates n, o, q.
func speaker(t *testing.T) *player {
	p := newPlayer(t).policy("n", "o", "q").pulse().lease("", 2).pass(150 * time.Millisecond).swapped(true)
	p.speaks("at the start")
	p.done = nil
	return p
}

func (p *player) speaks(when string) *player {
	p.Helper()
	if _, ok := p.state.Voice(); !ok {
		p.Fatalf("%s: does not speak: %s, %v", when, p.state.phase, p.done)
	}
	return p
}

func (p *player) silent(when string) *player {
	p.Helper()
	if _, ok := p.state.Voice(); ok {
		p.Fatalf("%s: speaks: %s, %v", when, p.state.phase, p.done)
	}
	return p
}

func (p *player) phase(want Phase) *player {
	p.Helper()
	if p.state.phase != want {
		p.Fatalf("is %s, want %s: %v", p.state.phase, want, p.done)
	}
	return p
}

// swap wants the last write to be for this holder, and forgets what was done so far.
func (p *player) swap(holder string) *player {
	p.Helper()
	last, ok := find[Swap](p.done)
	if !ok || last.Holder != holder {
		p.Fatalf("no write for %q: %s, %v", holder, p.state.phase, p.done)
	}
	p.done = nil
	return p
}

// writesNothing wants no write since the last look.
func (p *player) writesNothing(when string) *player {
	p.Helper()
	if a, ok := find[Swap](p.done); ok {
		p.Fatalf("%s: writes %+v", when, a)
	}
	return p
}

// because wants the last Speak or Hush to be for this reason.
func (p *player) because(want Why) *player {
	p.Helper()
	for _, a := range slices.Backward(p.done) {
		switch a := a.(type) {
		case Speak:
			if a.Why != want {
				p.Fatalf("speaks because %q, want %q", a.Why, want)
			}
			return p
		case Hush:
			if a.Why != want {
				p.Fatalf("silent because %q, want %q", a.Why, want)
			}
			return p
		}
	}
	p.Fatalf("neither speaks nor falls silent: %s, %v", p.state.phase, p.done)
	return p
}

func find[A Action](as []Action) (last A, ok bool) {
	for _, a := range as {
		if a, is := a.(A); is {
			last, ok = a, true
		}
	}
	return last, ok
}

func count[A Action](as []Action) (n int) {
	for _, a := range as {
		if _, is := a.(A); is {
			n++
		}
	}
	return n
}
