// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"
)

// disputed hears the node "o" speak in another Lease.
func (p *player) disputed() *player {
	p.done = nil
	return p.step(Heard{Voice: Voice{Node: "o", Transitions: 9, Standing: Held}})
}

func (p *player) reads(l Lease, ok bool) *player { return p.step(LeaseRead{Lease: l, OK: ok}) }

// muted wants a voice that waits, or one that does not.
func (p *player) muted(want bool, when string) *player {
	p.Helper()
	if p.speaks(when); p.state.Muted() != want {
		p.Fatalf("%s: muted %t, want %t", when, p.state.Muted(), want)
	}
	return p
}

// asksFor wants so many reads of the Lease since the last look.
func (p *player) asksFor(n int, when string) *player {
	p.Helper()
	if got := count[ReadLease](p.done); got != n {
		p.Fatalf("%s: %d reads, want %d", when, got, n)
	}
	p.done = nil
	return p
}

func TestDispute(t *testing.T) {
	const ms = time.Millisecond
	other := lease("o", 0)
	other.UID = "v"
	for name, story := range map[string]func(t *testing.T){
		"the Lease is still there: speaks on, and tells the other": func(t *testing.T) {
			p := speaker(t).disputed().muted(true, "reads").asksFor(1, "at once").
				reads(lease("n", 3), true).muted(false, "it is right")
			if p.state.Ghost() != "o" {
				t.Errorf("looks for %q, want o", p.state.Ghost())
			}
		},
		"once a second": func(t *testing.T) {
			speaker(t).disputed().asksFor(1, "at first").reads(lease("n", 3), true).pass(900*ms).
				disputed().muted(false, "it has read that").asksFor(0, "soon after").pass(100*ms).
				disputed().asksFor(1, "a second later")
		},
		"another Lease is there": func(t *testing.T) {
			speaker(t).disputed().reads(other, true).silent("it knows an old Lease").because(Outranked).
				live(5 * second).silent("until the watch tells of it").
				step(LeaseSeen{Lease: other}).phase(Standby)
		},
		"it cannot be read": func(t *testing.T) {
			p := speaker(t).disputed().pass(second).muted(true, "no answer").reads(Lease{}, false).
				silent("it does not know").because(Outranked)
			p.pass(3*second).reads(Lease{}, false).disputed().pass(2 * second).silent("the other answers")
		},
		"an older read says nothing": func(t *testing.T) {
			p := speaker(t).step(Interrupted{}).pass(400 * ms)
			p.asksFor(1, "after the interruption").disputed().asksFor(0, "it is under way").reads(lease("n", 3), true).
				muted(true, "that was before").asksFor(1, "again").reads(lease("n", 3), true).muted(false, "now")
		},
		"a ghost is told, not waited for": func(t *testing.T) {
			p := deadOwner(t).pass(50 * ms).swapped(true).speaks("o is dead")
			p.disputed().muted(false, "o was replaced").asksFor(1, "all the same").
				reads(Lease{}, false).muted(false, "no answer").pass(second).
				disputed().reads(other, true).silent("the Lease was made anew")
		},
		"a ghost may be right against a claim": func(t *testing.T) {
			claimed(t).disputed().muted(true, "o may have the Lease").reads(Lease{}, false).silent("it does not know")
		},
	} {
		t.Run(name, story)
	}
}

// TestSetBack: the Lease counts as the API server has it, once it could be read.
func TestSetBack(t *testing.T) {
	p := speaker(t)
	p.lease("", 1).asksFor(1, "the watch shows an older epoch").reads(Lease{}, false).
		pass(999*time.Millisecond).asksFor(0, "a failed read is no reason to hurry").
		pass(time.Millisecond).asksFor(1, "but it is repeated").reads(lease("", 1), true).live(second).swap("n")
	if p.speaks("it writes itself back").state.Standing() != Wire {
		t.Error("holds a Lease that was set back")
	}
	p.swapped(true).live(10*second).asksFor(0, "it has been read")
}

// TestLeaverIsHeardOnce: who was asked to take over is not outranked by who asked.
func TestLeaverIsHeardOnce(t *testing.T) {
	p := newPlayer(t).policy("o", "n", "q").lease("o", 3).pass(10 * second).step(Left{Node: "o"}).pass(time.Second)
	p.speaks("it was asked to").because(OwnerLeft).hear(3).speaks("that was its last answer").
		pass(2 * second).hear(3).silent("it stays after all").because(Outranked)
	p = newPlayer(t).policy("o", "n", "q").lease("o", 3).pass(10 * second).step(Left{Node: "o"}).pass(time.Second)
	p.speaks("it was asked to").hear(4).silent("it has a later epoch").because(Outranked)
}

// TestGiftToWhoSpeaks: who was heard to speak meanwhile gets the Lease.
func TestGiftToWhoSpeaks(t *testing.T) {
	p := speaker(t).step(Leave{}).peer("o", "beat").peer("q", "beat").swap("o").pass(300 * time.Millisecond)
	p.says("q", 3, Wire).silent("q took over").because(Leaving).swapped(false).pass(300 * time.Millisecond)
	p.peer("o", "beat").peer("q", "beat").swap("q")
}

// TestLowerVoiceIsLookedFor: so is a receiver that did not take its gift.
func TestLowerVoiceIsLookedFor(t *testing.T) {
	p := speaker(t).hearFrom("q", 2)
	if p.speaks("its voice is the higher one").state.Ghost() != "q" {
		t.Errorf("looks for %q, want q", p.state.Ghost())
	}
	p = speaker(t).step(PolicySeen{Policy: func() Policy { q := policy("n", "o", "q"); q.MoveTo = "o"; return q }()}).
		peer("o", "beat").swap("o").swapped(true).pass(600 * time.Millisecond).swap("n").swapped(true)
	if p.speaks("the gift is taken back").state.Ghost() != "o" {
		t.Errorf("looks for %q, want o", p.state.Ghost())
	}
}
