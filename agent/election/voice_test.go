// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"
)

// says brings a voice of a node by some standing, with a higher MAC than this node's.
func (p *player) says(node string, transitions int32, by Standing) *player {
	return p.step(Heard{Voice: Voice{Node: node, LeaseUID: "u", Transitions: transitions, Standing: by}})
}

// dead tells that the holder is dead on the wire, for every address.
func (p *player) dead() *player {
	return p.step(Dead{Addrs: p.state.policy.Addresses, Since: p.now - 200*time.Millisecond})
}

// deadOwner is the first standby of an owner "o" in epoch 3 that has just been found dead.
func deadOwner(t *testing.T) *player {
	return newPlayer(t).policy("o", "n", "q").lease("o", 3).pulse().dead()
}

// claimed speaks by the wire's standing, in the epoch of the dead owner.
func claimed(t *testing.T) *player {
	p := deadOwner(t).pass(50 * time.Millisecond).swap("n").step(SwapDone{Attempt: 1}).speaks("the API server refuses")
	p.done = nil
	return p
}

func TestHigher(t *testing.T) {
	for name, tc := range map[string]struct {
		by      Standing
		leaving bool
		voice   Voice
		want    bool
	}{
		"a later epoch by the wire":          {Held, false, Voice{LeaseUID: "u", Transitions: 4, Standing: Wire}, true},
		"an older epoch by the Lease":        {Wire, false, Voice{LeaseUID: "u", Transitions: 2, Standing: Held, Lower: true}, false},
		"the Lease against the wire":         {Wire, false, Voice{LeaseUID: "u", Transitions: 3, Standing: Held}, true},
		"the wire against the Lease":         {Held, false, Voice{LeaseUID: "u", Transitions: 3, Standing: Wire, Lower: true}, false},
		"equal, with the lower MAC":          {Wire, false, Voice{LeaseUID: "u", Transitions: 3, Standing: Wire, Lower: true}, true},
		"equal, with the higher MAC":         {Wire, false, Voice{LeaseUID: "u", Transitions: 3, Standing: Wire}, false},
		"a vouch is no voice":                {Wire, false, Voice{LeaseUID: "u", Transitions: 9, Standing: Held, Vouched: true}, false},
		"another Lease":                      {Wire, false, Voice{LeaseUID: "", Transitions: 9, Standing: Held}, false},
		"who leaves yields to who was asked": {Wire, true, Voice{LeaseUID: "u", Transitions: 3, Standing: Wire}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine{State: State{voice: lease("n", 3), lease: lease("n", 3), standing: tc.by, leaving: tc.leaving}}
			if got := m.higher(tc.voice); got != tc.want {
				t.Errorf("higher is %t, want %t", got, tc.want)
			}
		})
	}
}

func TestInterruption(t *testing.T) {
	const ms = time.Millisecond
	mine := LeaseRead{Lease: lease("n", 3), OK: true}
	for name, story := range map[string]func(t *testing.T){
		"asks twice, and goes on": func(t *testing.T) {
			p := speaker(t).step(Interrupted{})
			if !p.state.Muted() || p.state.Standing() != Wire {
				t.Errorf("muted %t, standing %d", p.state.Muted(), p.state.Standing())
			}
			p.pass(120 * ms).speaks("nobody was heard")
			if n := count[Ask](p.done); n != 2 || p.state.Muted() {
				t.Errorf("asked %d times, muted %t", n, p.state.Muted())
			}
			if p.pass(200*ms).step(mine).state.Standing() != Held {
				t.Error("it has read the Lease")
			}
		},
		"a heartbeat that was sent since comes back: goes on at once": func(t *testing.T) {
			p := speaker(t).step(Interrupted{}).pass(10 * ms).pulse()
			if p.state.Muted() || p.state.Standing() != Held || count[Ask](p.done) > 0 {
				t.Errorf("muted %t, standing %d, asked %d times", p.state.Muted(), p.state.Standing(), count[Ask](p.done))
			}
		},
		"one that was sent before says nothing": func(t *testing.T) {
			p := speaker(t).pass(10 * ms)
			sent := p.now
			p.pass(10 * ms).step(Interrupted{}).step(Pulse{Heart: p.state.heart.Echoed(sent, p.state.Config.BeatEvery)})
			if !p.state.Muted() {
				t.Error("speaks by what it knew before")
			}
		},
		"by the wire's standing until the Lease was read": func(t *testing.T) {
			p := speaker(t).step(Interrupted{}).pass(310 * ms).step(LeaseRead{}).speaks("by the wire")
			if p.state.Standing() != Wire {
				t.Error("holds the Lease by its own word")
			}
			p.pass(1100 * ms)
			if n := count[ReadLease](p.done); n != 2 {
				t.Errorf("read %d times", n)
			}
		},
		"the Lease went away meanwhile": func(t *testing.T) {
			speaker(t).step(Interrupted{}).pass(310 * ms).step(LeaseRead{Lease: lease("o", 4), OK: true}).
				silent("o holds the Lease").because(Lost)
		},
		"a voice of equal right keeps it silent": func(t *testing.T) {
			speaker(t).step(Interrupted{}).says("o", 3, Held).silent("o holds the Lease").because(Outranked)
		},
		"again and again: begins anew": func(t *testing.T) {
			p := speaker(t).step(Interrupted{}).pass(90 * ms).step(Interrupted{}).pass(90 * ms)
			if !p.state.Muted() {
				t.Error("speaks although it asked once")
			}
			p.pass(30 * ms)
			if p.state.Muted() {
				t.Error("is silent although it asked twice")
			}
		},
		"while it asks whether to take: begins anew": func(t *testing.T) {
			newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(100 * ms).step(Interrupted{}).
				pass(100 * ms).writesNothing("it may have missed a voice").pass(50 * ms).swap("n")
		},
		"while it writes: asks again": func(t *testing.T) {
			newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(150 * ms).step(Interrupted{}).swapped(true).
				silent("it may have missed a voice").step(mine).pass(150 * ms).speaks("now it asked")
		},
		"a verdict from before does not count": func(t *testing.T) {
			newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().phase(Asking).step(Interrupted{}).
				pass(second).writesNothing("the verdict is void").phase(Standby)
		},
	} {
		t.Run(name, story)
	}
}

func TestStanding(t *testing.T) {
	const ms = time.Millisecond
	anew := func(holder string) LeaseSeen {
		l := lease(holder, 1)
		l.UID = "v"
		return LeaseSeen{Lease: l}
	}
	for name, story := range map[string]func(t *testing.T){
		"writes itself once the API server is back": func(t *testing.T) {
			p := claimed(t).live(2 * second).swap("n").swapped(true).speaks("on")
			if v, _ := p.state.Voice(); p.state.Standing() != Held || v.Transitions != 4 {
				t.Errorf("speaks in %v by %d", v, p.state.Standing())
			}
		},
		"writes nothing while its heartbeats do not come back": func(t *testing.T) {
			p := claimed(t).pass(5 * second).swapped(false)
			p.done = nil
			p.pass(30 * second).speaks("others could contradict").writesNothing("the API server is away")
		},
		"yields to the Lease": func(t *testing.T) {
			claimed(t).says("o", 3, Held).silent("o lives").because(Outranked)
		},
		"another was named meanwhile, and answers": func(t *testing.T) {
			p := claimed(t).pulse().lease("q", 4).live(1100 * ms).writesNothing("q is asked first")
			if a, ok := find[Ask](p.done); !ok || a.Node != "q" {
				t.Errorf("asks %+v", a)
			}
			p.says("q", 4, Held).silent("q speaks").because(Outranked)
		},
		"another was named meanwhile, and is silent": func(t *testing.T) {
			claimed(t).pulse().lease("q", 4).speaks("on").live(2 * second).swap("n")
		},
		"the Lease was made anew, and its holder answers": func(t *testing.T) {
			claimed(t).pulse().step(anew("q")).
				step(Heard{Voice: Voice{Node: "q", LeaseUID: "v", Transitions: 1, Standing: Held}}).
				silent("q holds the Lease that counts").because(Outranked)
		},
		"excluded": func(t *testing.T) {
			claimed(t).step(PolicySeen{Policy: func() Policy {
				p := policy("o", "n", "q")
				p.Excluded = "by name"
				return p
			}()}).silent("by name").because(Excluded)
		},
		"leaves: says so until another is heard": func(t *testing.T) {
			p := claimed(t).step(Leave{}).pass(second).speaks("until another is heard")
			if n := count[Farewell](p.done); n < 3 {
				t.Errorf("said so %d times", n)
			}
			p.says("q", 3, Wire).silent("q took over").because(Outranked)
		},
		"a Lease set back: goes on, and writes itself": func(t *testing.T) {
			p := speaker(t).step(Interrupted{}).pass(310 * time.Millisecond).step(LeaseRead{Lease: lease("o", 1), OK: true}).speaks("on")
			if p.state.Standing() != Wire {
				t.Error("holds a Lease that names another")
			}
			p.live(2 * second).swap("n")
		},
	} {
		t.Run(name, story)
	}
}

func TestInheriting(t *testing.T) {
	three := Inherited{Lease: lease("n", 3), Standing: Held}
	for name, tc := range map[string]struct {
		holder string
		ev     Inherited
		want   bool
	}{
		"the Lease is held":                      {"n", three, true},
		"another epoch":                          {"n", Inherited{Lease: lease("n", 2), Standing: Held}, false},
		"the Lease names another":                {"o", three, false},
		"a wire's voice against the Lease":       {"o", Inherited{Lease: lease("o", 3), Standing: Wire}, true},
		"a wire's voice, and the Lease names it": {"n", Inherited{Lease: lease("n", 3), Standing: Wire}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease(tc.holder, 3).step(tc.ev)
			if _, ok := p.state.Voice(); ok != tc.want {
				t.Errorf("speaks %t, want %t", ok, tc.want)
			}
			if tc.want {
				p.because(Taken)
			}
		})
	}
	t.Run("not by an agent that leaves", func(t *testing.T) {
		newPlayer(t).policy("n", "o").pulse().lease("n", 3).step(Leave{}, three).silent("it leaves")
	})
}
