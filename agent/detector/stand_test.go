// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A candidate that hears a broadcast question asks the speaker and vouches, near or not.
func TestJoinAndVouch(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		a := addr(1, v6)
		question := Sound{Kind: Question, Interface: "eth0", Addr: a, From: mac(3), SameLease: true, Transitions: 1}
		for _, tc := range []struct {
			name    string
			near    bool
			delay   time.Duration
			unicast bool
			from    MAC
			want    int
		}{
			{name: "near", near: true, delay: ms, from: mac(3), want: 1},
			{name: "far", delay: ms, from: mac(3), want: 1},
			{name: "slow", delay: 2*wait - ms, from: mac(3), want: 1},
			{name: "too slow", delay: 2*wait + ms, from: mac(3), want: 0},
			{name: "not for all", delay: ms, unicast: true, from: mac(3), want: 0},
			{name: "the speaker itself", delay: ms, from: mac(1), want: 0},
		} {
			t.Run(tc.name, func(t *testing.T) {
				w := newWorld(t)
				w.card(1, a).delay = tc.delay
				w.d.Follow(w.now, "l", View{Role: Stand, Near: tc.near, Since: w.now, Transitions: 1,
					Places: []Place{{Addr: a, Interface: "eth0", Speaker: mac(1)}}})
				w.take()
				q := question
				q.Unicast, q.From, q.Nonce = tc.unicast, tc.from, 1_000_000
				w.hear(0, q)
				w.hear(10*ms, q) // again, too soon
				w.run(300 * ms)
				got := of[Vouch](w, 0)
				if len(got) != tc.want {
					t.Fatalf("vouches %+v, want %d", got, tc.want)
				}
				want := Vouch{Lease: "l", Interface: "eth0", Addr: a, To: mac(3), Transitions: 1, Nonce: 1_000_000}
				if tc.want > 0 && got[0] != want {
					t.Errorf("vouches %+v, want %+v", got[0], want)
				}
			})
		}
	})
}

// A flood of questions opens no more than VouchOpen at once.
func TestVouchesAreBounded(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	w.d.Follow(w.now, "l", View{Role: Stand, Since: w.now, Transitions: 1,
		Places: []Place{{Addr: a, Interface: "eth0", Speaker: mac(1)}}})
	for i := range 1000 {
		w.hear(0, Sound{Kind: Question, Interface: "eth0", Addr: a, From: mac(100 + i), SameLease: true})
	}
	w.run(ms)
	if n := len(of[Ask](w, 0)); n != 64 {
		t.Errorf("%d questions", n)
	}
}

// Audible is told on change, for near standbys only.
func TestAudible(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	c := w.card(1, a)
	view := View{Role: Stand, Near: true, Since: w.now, Transitions: 1,
		Places: []Place{{Addr: a, Interface: "eth0", Speaker: mac(1)}}}
	w.d.Follow(w.now, "l", view)
	w.run(2 * sec)
	far := view
	far.Near = false
	w.d.Follow(w.now, "l", far)
	w.run(2 * sec)
	w.d.Follow(w.now, "l", view)
	w.run(2 * sec)
	c.dead = true
	fell := w.now
	w.run(2 * sec)
	c.dead = false
	w.run(2 * sec)
	unknown := view
	unknown.Places = []Place{{Addr: a, Interface: "eth0"}}
	w.d.Follow(w.now, "l", unknown)
	w.take()
	var got []bool
	for _, s := range w.said {
		if o, ok := s.o.(Audible); ok {
			got = append(got, o.OK)
			if len(got) == 4 && (s.at < fell+850*ms || s.at > fell+1010*ms) {
				t.Errorf("inaudible %v after the card fell silent", s.at-fell)
			}
		}
	}
	if diff := cmp.Diff([]bool{true, false, true, false, true, false}, got); diff != "" {
		t.Error(diff)
	}
}

// A view like the last one changes nothing; one that follows nothing leaves nothing.
func TestFollowAgain(t *testing.T) {
	w := newWorld(t)
	all := addrs(50, false)
	w.card(1, all...)
	w.gateway(Path{"eth0", false})
	view := View{Role: Stand, Near: true, Since: w.now, Transitions: 1}
	for _, a := range all {
		view.Places = append(view.Places, Place{Addr: a, Interface: "eth0", Speaker: mac(1)})
	}
	w.d.Follow(w.now, "l", view)
	w.run(sec)
	wake := w.d.Wake()
	if n := testing.AllocsPerRun(100, func() { w.d.Follow(w.now, "l", view) }); n != 0 || w.d.Wake() != wake {
		t.Errorf("an equal view: %v allocations, wake %v and before %v", n, w.d.Wake(), wake)
	}
	view.Role, view.Places = Speak, view.Places[:2]
	view.Places[0].Ghost = mac(1)
	w.d.Follow(w.now, "l", view)
	w.d.Follow(w.now, "l", View{})
	w.d.Witnesses(w.now, Path{"eth0", false}, nil)
	if d := w.d; len(d.leases)+len(d.paths)+len(d.pathOrder)+len(d.streams)+len(d.streamOrder)+
		len(d.ghosts)+len(d.ghostOrder)+len(d.contacts)+len(d.vouches) > 0 || d.Wake() != Never {
		t.Errorf("something is left: %+v, wake %v", d, d.Wake())
	}
	w.run(10 * sec)
}

// Streams are spread over the interval from the start, and keep to 250 questions a second.
func TestIdleQuestionsAreSpread(t *testing.T) {
	w := newWorld(t)
	for n := range 200 {
		w.card(n+1, addr(n, false))
		w.stand(n+1, "eth0", addr(n, false))
	}
	for range 20 {
		from := w.now
		w.run(100 * ms)
		if n := len(of[Ask](w, from)); n > 40 {
			t.Errorf("%d questions in 100 ms", n)
		}
	}
	from := w.now
	w.run(10 * sec)
	n := 0
	for _, o := range of[Ask](w, from) {
		if o.To != broadcast {
			n++
		}
	}
	if n < 2300 || n > 2500 {
		t.Errorf("%d questions in 10 s, want at most 250 a second", n)
	}
}

// A whole rack dies: broadcasts keep to 500 a second, and all are told in the end.
func TestBroadcastsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.gateway(Path{"eth0", false})
	var cs []*card
	for n := range 60 {
		all := addrs(20*(n+1), false)[20*n:]
		cs = append(cs, w.card(n+1, all...))
		w.stand(n+1, "eth0", all...)
	}
	w.run(20 * sec)
	for _, c := range cs {
		c.dead = true
	}
	from := w.now
	w.run(2 * sec)
	soon := len(w.deadSet(from))
	w.run(3 * sec)
	var times []Time
	for _, s := range w.said {
		if o, ok := s.o.(Ask); ok && o.To == broadcast && s.at >= from {
			times = append(times, s.at)
		}
	}
	for i := range times {
		if j := i + 500; j < len(times) && times[j]-times[i] < sec {
			t.Fatalf("501 broadcasts within %v", times[j]-times[i])
		}
	}
	if n := len(w.deadSet(from)); n != 1200 || soon < 1000 {
		t.Errorf("%d of 1200 told dead, %d in 2 s", n, soon)
	}
}

// Witnesses are asked at once when they are new, and every 15 s from then on.
func TestWitnessesAreAsked(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		var ws []Witness
		for n := range 10 {
			ws = append(ws, Witness{Addr: addr(n, v6)})
		}
		w.d.Witnesses(w.now, Path{"eth0", v6}, ws)
		w.take()
		if n := len(of[AskWitness](w, 0)); n != 10 {
			t.Errorf("%d asked at once", n)
		}
		w.run(sec)
		from := w.now
		w.run(60 * sec)
		at := map[Time]int{}
		for _, s := range w.said {
			if o, ok := s.o.(AskWitness); ok && s.at >= from {
				if o.To != broadcast {
					t.Errorf("asks %v, whose card is not known, at %v", o.Addr, o.To)
				}
				at[s.at]++
				if at[s.at] > 1 {
					t.Errorf("%d at once at %v", at[s.at], s.at)
				}
			}
		}
		if len(at) < 38 || len(at) > 42 {
			t.Errorf("%d questions in a minute, want 40", len(at))
		}
	})
}
