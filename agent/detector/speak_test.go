// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"net/netip"
	"testing"
	"time"
)

func speak(w *world, ghost MAC, addrs ...netip.Addr) {
	for _, a := range addrs {
		w.d.Follow(w.now, a.String(), View{Role: Speak, Since: w.now, Transitions: 5,
			Places: []Place{{Addr: a, Interface: "eth0", Ghost: ghost}}})
	}
	w.take()
}

// The card of a node that was replaced is asked every 200 ms for a minute, then every
// 2 s, for ten minutes in all.
func TestGhostIsAsked(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		speak(w, mac(1), addrs(3, v6)...)
		for _, tc := range []struct {
			span     time.Duration
			min, max int
		}{{60 * sec, 298, 301}, {60 * sec, 29, 31}, {8 * time.Minute, 238, 241}, {time.Hour, 0, 0}} {
			from := w.now
			w.run(tc.span)
			asks := of[Ask](w, from+1)
			if len(asks) < tc.min || len(asks) > tc.max {
				t.Errorf("%d questions in the %v from %v", len(asks), tc.span, from)
			}
			for _, o := range asks {
				if o.To != mac(1) || o.Zero {
					t.Errorf("asks %+v", o)
				}
			}
		}
		if len(w.d.ghosts) > 0 || w.d.Wake() != Never {
			t.Error("the ghost is not over")
		}
	})
}

// A ghost that answers for one address is told for all it had, within one interval, and
// then not more often than every 200 ms. It ends when that node knows better.
func TestGhostIsTold(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		all := addrs(10, v6)
		old := w.card(1, all...)
		old.epoch, old.dead = 4, true
		speak(w, mac(1), all...)
		w.run(20 * sec)
		if n := len(of[Ghost](w, 0)); n > 0 {
			t.Fatalf("%d told of a silent card", n)
		}
		old.dead = false
		from := w.now
		w.run(210 * ms)
		seen := map[netip.Addr]int{}
		for _, o := range of[Ghost](w, from) {
			seen[o.Addr]++
			if o.Card != mac(1) || o.Lease != o.Addr.String() {
				t.Errorf("told %+v", o)
			}
		}
		if len(seen) != 10 {
			t.Errorf("%d of 10 told", len(seen))
		}
		from = w.now
		w.run(sec)
		if n := len(of[Ghost](w, from)); n > 60 {
			t.Errorf("%d told in a second", n)
		}
		// One Lease after the other it learns the epoch.
		for _, a := range all {
			w.hear(0, Sound{Kind: Question, Interface: "eth0", Addr: a, From: mac(1), SameLease: true, Transitions: 5})
		}
		w.run(ms)
		from = w.now
		w.run(10 * sec)
		if n := len(of[Ask](w, from)); n > 0 {
			t.Errorf("%d questions to a node that knows", n)
		}
		view := View{Role: Speak, Since: w.now, Transitions: 5, Places: []Place{{Addr: all[0], Interface: "eth0", Ghost: mac(1)}}}
		asked := func(when string, want bool) {
			t.Helper()
			from := w.now
			w.d.Follow(w.now, all[0].String(), view)
			w.take()
			w.run(sec)
			if got := len(of[Ask](w, from)) > 0; got != want {
				t.Errorf("%s: asked %v, want %v", when, got, want)
			}
		}
		asked("in a new epoch", true)
		w.hear(0, Sound{Kind: Question, Interface: "eth0", Addr: all[0], From: mac(1), SameLease: true, Transitions: 5})
		w.run(ms)
		view.Places = append(view.Places, Place{Addr: addr(70, v6), Interface: "eth0"})
		asked("an address more in the epoch that it knows", false)
	})
}

// Which voices beside this node's own are met with a claim.
func TestOtherVoices(t *testing.T) {
	a := addr(1, false)
	for _, tc := range []struct {
		name string
		s    Sound
		want int
	}{
		{"the ghost, older", Sound{Kind: Answer, From: mac(1), SameLease: true, Transitions: 4}, 1},
		{"the ghost, another Lease", Sound{Kind: Claim, From: mac(1), Transitions: 9}, 1},
		{"the ghost, later", Sound{Kind: Answer, From: mac(1), SameLease: true, Transitions: 6}, 0},
		{"anybody, equal", Sound{Kind: Claim, From: mac(2), SameLease: true, Transitions: 5}, 1},
		{"anybody, older", Sound{Kind: Answer, From: mac(2), SameLease: true, Transitions: 1}, 1},
		{"anybody, later", Sound{Kind: Claim, From: mac(2), SameLease: true, Transitions: 6}, 0},
		{"anybody, another Lease", Sound{Kind: Claim, From: mac(2), Transitions: 1}, 0},
		{"unmarked", Sound{Kind: BareAnswer, From: mac(2)}, 0},
		{"a question", Sound{Kind: Question, From: mac(2), SameLease: true, Transitions: 1}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			speak(w, mac(1), a)
			tc.s.Interface, tc.s.Addr = "eth0", a
			for i := range 5 {
				w.hear(time.Duration(i)*ms, tc.s)
			}
			w.run(10 * ms)
			if got := len(of[Ghost](w, 0)); got != tc.want {
				t.Errorf("told %d times within 5 ms, want %d", got, tc.want)
			}
			w.hear(55*ms, tc.s)
			w.run(60 * ms)
			if got := len(of[Ghost](w, 0)); got != 2*tc.want {
				t.Errorf("told %d times within 65 ms, want %d", got, 2*tc.want)
			}
		})
	}
}

// Contact is told once an epoch, and only by questions that came in it.
func TestContact(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		a, b := addr(1, v6), addr(2, v6)
		question := Sound{Kind: Question, Interface: "eth0", Addr: a, From: mac(3), Unicast: true, SameLease: true, Transitions: 5, Flags: FlagHears}
		count := func(want int, when string) {
			t.Helper()
			if got := len(of[Contacted](w, 0)); got != want {
				t.Errorf("%s: told %d times, want %d", when, got, want)
			}
		}
		view := func(a netip.Addr, since Time) View {
			return View{Role: Speak, Since: since, Transitions: 5, Places: []Place{{Addr: a, Interface: "eth0"}}}
		}
		w.d.Follow(w.now, "a", view(a, w.now))
		w.run(sec)
		count(0, "nobody asked")
		w.hear(0, question)
		w.hear(ms, question)
		w.run(10 * ms)
		count(1, "asked twice")
		w.d.Follow(w.now, "b", view(b, w.now-9*ms))
		w.take()
		count(2, "asked a moment before the view")
		w.d.Follow(w.now, "a", view(a, w.now))
		w.run(sec)
		count(2, "a new epoch")
		late := question
		late.At = w.now - sec - ms
		w.d.Heard(w.now, late)
		w.take()
		count(2, "a question from before it")
		w.hear(0, question)
		w.run(ms)
		count(3, "asked in the new epoch")
		w.hear(0, Sound{Kind: Question, Interface: "eth1", Addr: a, From: mac(3)})
		w.run(sec)
		count(3, "asked elsewhere")
	})
}

func TestWatched(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	q := Sound{Kind: Question, Interface: "eth0", Addr: a, From: mac(3), Unicast: true, SameLease: true, Transitions: 5}
	speak(w, MAC{}, a)
	speak(w, mac(1), addr(2, false)) // its questions keep the clock going
	check := func(want Watched) {
		t.Helper()
		if got := w.d.Watched(a.String()); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	check(Watched{})
	w.hear(0, q)
	w.run(sec)
	check(Watched{Asked: true})
	q.Flags = FlagBare
	w.hear(0, q)
	w.run(sec)
	check(Watched{Asked: true, Bare: true})
	q.Flags = FlagHears | 1 // a bit without a name says nothing
	w.hear(0, q)
	w.run(sec)
	check(Watched{Asked: true, Hears: true})
	w.run(2 * sec)
	check(Watched{})
	if got := w.d.Watched("other"); got != (Watched{}) {
		t.Errorf("a Lease that is not followed: %+v", got)
	}
}
