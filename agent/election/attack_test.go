// SPDX-License-Identifier: Apache-2.0

package election

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Whatever comes in whatever order, the machine wants no Tick at once, does nothing twice,
// remembers little, and answers for nothing that it may not or cannot serve.
func TestAnyEvents(t *testing.T) {
	seeds := 3000
	if testing.Short() {
		seeds = 300
	}
	for seed := range seeds {
		r := &random{Rand: rand.New(rand.NewPCG(uint64(seed), 7)), state: State{Config: Defaults("n")}, now: 1000 * second}
		for range 150 {
			if why := r.next(); why != "" {
				t.Fatalf("seed %d: %s, after\n%s", seed, why, strings.Join(r.story, "\n"))
			}
		}
	}
}

// random steps one machine with random events.
type random struct {
	*rand.Rand

	state   State
	now     Time
	story   []string
	reads   int // asked for, not answered
	swaps   []Swap
	speaks  bool
	leaving bool
}

// next takes one step, and tells what is wrong.
func (r *random) next() string {
	end := r.now + Time(r.pick(0, 1, 15, 40, 250, 1000, 3000))*time.Millisecond
	for n := 0; r.state.Wake() <= end; n++ {
		if n > 5000 {
			return "ticks without end"
		}
		r.now = r.state.Wake()
		if why := r.step(Tick{}); why != "" {
			return why
		}
	}
	r.now = end
	return r.step(r.event())
}

func (r *random) pick(of ...int) int       { return of[r.IntN(len(of))] }
func (r *random) name(of ...string) string { return of[r.IntN(len(of))] }
func (r *random) odds(n int) bool          { return r.IntN(n) == 0 }

func (r *random) step(ev Event) string {
	state, as := Step(r.state, r.now, ev)
	r.state = state
	r.story = append(r.story, fmt.Sprintf("%s %T%+v -> %s %v", r.now, ev, ev, state.phase, as))
	if len(r.story) > 40 {
		r.story = r.story[1:]
	}
	for _, a := range as {
		switch a := a.(type) {
		case ReadLease:
			r.reads++
		case Swap:
			r.swaps = append(r.swaps, a)
		case Speak:
			if r.speaks {
				return "speaks twice"
			}
			r.speaks = true
		case Hush:
			if !r.speaks {
				return "falls silent twice"
			}
			r.speaks = false
		}
	}
	if state.Wake() <= r.now {
		return "wants to be woken at once"
	}
	again, more := Step(state, r.now, Tick{})
	if len(more) > 0 || again.phase != state.phase && again.phase != Giving { // which begins with a look
		return fmt.Sprintf("a second look does more: %v", more)
	}
	voice, ok := state.Voice()
	switch {
	case ok != r.speaks:
		return "voice and actions differ"
	case ok && len(state.policy.Servable) == 0:
		return "speaks for what it cannot serve"
	case ok && state.phase == Speaking && state.policy.Excluded != "":
		return "speaks although excluded"
	case ok && state.NeedsEcho() && r.now >= state.heart.Until(state.Config):
		return "speaks without heartbeat"
	case ok && state.standing == Held && state.phase == Speaking && state.lease != voice:
		return "speaks by another Lease"
	case len(state.failed) > 8 || len(state.peers) > 8:
		return "remembers ever more"
	case r.reads > 1:
		return "reads twice at a time"
	}
	return ""
}

func (r *random) event() Event {
	switch r.IntN(18) {
	case 0, 1:
		return LeaseSeen{Lease: r.lease()}
	case 2:
		if r.reads == 0 {
			return Tick{}
		}
		r.reads--
		return LeaseRead{Lease: r.lease(), OK: !r.odds(4)}
	case 3, 4, 5:
		if len(r.swaps) == 0 {
			return Tick{}
		}
		s := r.swaps[0]
		r.swaps = r.swaps[1:]
		switch r.IntN(3) {
		case 0:
			return SwapDone{Attempt: s.Attempt, Conflict: r.odds(2)}
		default:
			l := s.Lease
			l.Holder, l.Transitions = s.Holder, s.Transitions
			return SwapDone{Attempt: s.Attempt, OK: true, Lease: l}
		}
	case 6, 7, 8:
		return Pulse{Heart: r.state.heart.Echoed(r.now, r.state.Config.BeatEvery)}
	case 9:
		return PeerBeat{Node: r.name("o", "q", "z"), Asked: r.now, Came: r.now, Seen: r.name("", "a", "b"), Leaving: r.odds(4)}
	case 10, 11:
		return Heard{Voice: Voice{
			Node: r.name("o", "q", ""), LeaseUID: r.name(r.state.lease.UID, r.state.lease.UID, ""),
			Transitions: r.state.lease.Transitions + int32(r.pick(-1, 0, 0, 1)), Standing: Standing(r.pick(1, 2)),
			Lower: r.odds(2), Vouched: r.odds(4),
		}}
	case 12:
		return Dead{Addrs: r.state.policy.Addresses, Since: r.now, Unheard: r.odds(4)}
	case 13:
		return Audible{OK: r.odds(2)}
	case 14:
		if r.odds(2) {
			return Contacted{}
		}
		return Interrupted{}
	case 15:
		switch r.IntN(6) {
		case 0:
			return LeaseGone{}
		case 1:
			return Recalled{Lease: r.lease()}
		case 2:
			return Left{Node: r.name("o", "q", "")}
		case 3:
			return Inherited{Lease: r.state.lease, Standing: Standing(r.pick(1, 2))}
		case 4:
			return PolicyGone{}
		default:
			if !r.leaving && r.odds(3) {
				r.leaving = true
				return Leave{}
			}
			return Tick{}
		}
	default:
		return r.policy()
	}
}

func (r *random) lease() Lease {
	known := r.state.lease
	l := lease(r.name("n", "n", "o", "q", ""), known.Transitions+int32(r.pick(-1, 0, 1, 1)))
	if l.Transitions == known.Transitions {
		l.Holder = known.Holder
	}
	if r.odds(12) {
		l.UID = r.name("u", "v")
	} else if known.UID != "" {
		l.UID = known.UID
	}
	return l
}

func (r *random) policy() Event {
	p := policy("n", "o", "q")
	v6 := netip.MustParseAddr("2001:db8::1")
	p.Addresses = append(p.Addresses, v6)
	if r.odds(3) {
		p.Unservable = "no carrier"
		if r.odds(2) {
			p.Servable = nil
		}
	} else {
		p.Servable = p.Addresses
	}
	r.Shuffle(3, func(i, k int) { p.Candidates[i], p.Candidates[k] = p.Candidates[k], p.Candidates[i] })
	p.Candidates = p.Candidates[:r.pick(0, 1, 2, 3, 3, 3)]
	if r.odds(5) {
		p.Excluded = "by name"
	}
	if r.odds(4) {
		p.MoveTo = r.name("o", "q", "z")
	}
	p.Unready = r.odds(5)
	if r.odds(8) {
		p.DisplaceUID, p.DisplaceTransitions = r.state.lease.UID, r.state.lease.Transitions
	}
	return PolicySeen{Policy: p}
}
