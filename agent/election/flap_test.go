// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"
)

func TestCalm(t *testing.T) {
	c := Defaults("n")
	for name, tc := range map[string]struct {
		at   []time.Duration // of the changes
		want time.Duration   // left of the pause, at the last one
	}{
		"two":                            {[]time.Duration{0, 1 * second}, 0},
		"three within the window":        {[]time.Duration{0, 1 * second, 2 * second}, c.FlapPause},
		"three, but not within it":       {[]time.Duration{0, time.Minute, 4 * time.Minute}, 0},
		"a fourth within the pause":      {[]time.Duration{0, 1 * second, 2 * second, 62 * second}, 2 * c.FlapPause},
		"again after the pause: twice":   {[]time.Duration{0, 1 * second, 2 * second, 4 * time.Minute, 241 * second, 242 * second}, 2 * c.FlapPause},
		"after a long rest: as at first": {[]time.Duration{0, 1 * second, 2 * second, time.Hour, time.Hour + second, time.Hour + 2*second}, c.FlapPause},
	} {
		t.Run(name, func(t *testing.T) {
			var f flaps
			var last Time
			for _, at := range tc.at {
				last = 1000*second + at
				f = f.note(last, c)
			}
			if got := (State{flaps: f}).Calm(last); got != tc.want {
				t.Errorf("calm for %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFlapping(t *testing.T) {
	flapped := func(t *testing.T) *player {
		return newPlayer(t).policy("o", "n", "q").lease("o", 3).lease("q", 4).lease("o", 5).lease("q", 6).pulse()
	}
	for name, story := range map[string]func(t *testing.T){
		"the wire's verdict moves nothing until the holder was silent for long": func(t *testing.T) {
			p := flapped(t).dead().pass(50 * time.Millisecond).writesNothing("it flaps")
			since := p.now
			for range 9 {
				p.live(second).step(Dead{Addrs: policy().Addresses, Since: since}).pass(50 * time.Millisecond)
			}
			p.writesNothing("a silence of 9 s").live(second).step(Dead{Addrs: policy().Addresses, Since: since}).pass(50 * time.Millisecond).swap("n")
		},
		"after the pause it does at once": func(t *testing.T) {
			flapped(t).live(4 * time.Minute).dead().pass(50 * time.Millisecond).swap("n")
		},
		"a heartbeat that stands still does": func(t *testing.T) {
			p := flapped(t)
			for range 5 {
				p.pulse().peer("q", "beat").pass(2 * second)
			}
			p.swap("n")
		},
		"no move either": func(t *testing.T) {
			move := withPolicy(func(p *Policy) { p.MoveTo = "q" })
			p := backAgain(t)
			p.step(move).live(30 * second).writesNothing("it flaps").live(3 * time.Minute).pulse().peers(false).swap("q")
		},
		"who is no candidate any more hands over all the same": func(t *testing.T) {
			backAgain(t).policy("o", "q").live(second).peers(false).swap("o")
		},
		"who leaves hands over all the same": func(t *testing.T) {
			backAgain(t).step(Leave{}).peers(false).swap("o")
		},
	} {
		t.Run(name, story)
	}
}

// backAgain is a speaker whose Lease went away and came back.
func backAgain(t *testing.T) *player {
	p := speaker(t).lease("o", 4).lease("n", 5)
	mine := LeaseRead{Lease: lease("n", 5), OK: true}
	p.step(mine).pass(150 * time.Millisecond).step(mine).speaks("again").done = nil
	return p
}

// What a node did not see of a Lease's changes counts as well.
func TestChangesUnseen(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to Lease
		want     int
	}{
		"another holder":             {Lease{Holder: "a", Transitions: 1}, Lease{Holder: "b", Transitions: 2}, 1},
		"the same":                   {Lease{Holder: "a", Transitions: 1}, Lease{Holder: "a", Transitions: 1}, 0},
		"the same, made holder anew": {Lease{Holder: "a", Transitions: 1}, Lease{Holder: "a", Transitions: 2}, 0},
		"there and back":             {Lease{Holder: "a", Transitions: 1}, Lease{Holder: "a", Transitions: 3}, 2},
		"two in between":             {Lease{Holder: "a", Transitions: 1}, Lease{Holder: "b", Transitions: 4}, 3},
		"more than are kept":         {Lease{Holder: "a", Transitions: 1}, Lease{Holder: "b", Transitions: 400}, maxFlaps},
		"set back":                   {Lease{Holder: "a", Transitions: 9}, Lease{Holder: "b", Transitions: 2}, 1},
	} {
		m := machine{State: State{lease: tc.from}}
		if got := m.changes(tc.to); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
