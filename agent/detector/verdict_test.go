// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// With round trips of 1 ms a crash is told within one interval and four time-outs,
// whenever it happens.
func TestCrashIsTold(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		for phase := range 20 {
			w := newWorld(t)
			a := addr(1, v6)
			c := w.card(1, a)
			w.gateway(Path{"eth0", v6})
			w.stand(1, "eth0", a)
			w.run(5*sec + time.Duration(phase)*5*ms)
			crash := w.now
			c.dead = true
			w.run(3 * sec)
			at := w.dead(a.String(), crash)
			if at == 0 || at-crash > verdict+100*ms {
				t.Fatalf("phase %d: told %v after the crash", phase, at-crash)
			}
			for _, o := range of[Dead](w, 0) {
				if o.Since < crash-ms || o.Since > crash+101*ms || o.Unheard {
					t.Errorf("told %+v; crash at %v", o, crash)
				}
			}
			if n := len(of[Dead](w, crash)); n != 3 {
				t.Errorf("told %d times in 3 s, want one a second", n)
			}
			if diff := cmp.Diff([]Audible{{a.String(), true}, {a.String(), false}}, of[Audible](w, 0)); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// The questions of a suspicion: who gets what form when.
func TestFormsTakeTurns(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		a := addr(1, v6)
		c := w.card(1, a)
		w.gateway(Path{"eth0", v6})
		w.stand(1, "eth0", a)
		w.run(sec)
		c.dead = true
		from := w.now
		w.run(verdict + 90*ms)
		type form struct {
			after time.Duration
			all   bool
			zero  bool
		}
		var got []form
		asks := 0
		var first Time
		for _, s := range w.said {
			if o, ok := s.o.(Ask); ok && s.at >= from {
				if asks++; asks == 1 {
					first = s.at
				}
				got = append(got, form{s.at - first, o.To == broadcast, o.Zero})
			}
		}
		want := []form{
			{0, false, false},
			{wait, false, !v6}, {wait, true, false},
			{2 * wait, false, false}, {2 * wait, true, !v6},
			{3 * wait, false, !v6},
		}
		if diff := cmp.Diff(want, got[:min(len(got), len(want))], cmp.AllowUnexported(form{})); diff != "" {
			t.Error(diff)
		}
	})
}

// A thousand VIPs of one card need one suspicion.
func TestManyDieAtOnce(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		all := addrs(1000, v6)
		c := w.card(1, all...)
		w.gateway(Path{"eth0", v6})
		w.stand(1, "eth0", all...)
		w.run(5 * sec)
		crash := w.now
		c.dead = true
		w.run(300 * ms)
		if n := len(w.deadSet(crash)); n != 1000 {
			t.Errorf("%d told dead, want 1000", n)
		}
		if n := len(of[Ask](w, crash)); n > 50 {
			t.Errorf("%d questions", n)
		}
		w.run(5 * sec)
		from, casts := w.now, 0
		w.run(5 * sec)
		for _, o := range of[Ask](w, from) {
			if o.To == broadcast {
				casts++
			}
		}
		if n := len(of[Dead](w, from)); n < 4000 || n > 5000 || casts < 5 || casts > 10 {
			t.Errorf("later: %d Leases told and %d broadcasts in 5 s", n, casts)
		}
	})
}

// One mute VIP among forty is told, alone, and again every second, though the rotation
// takes four.
func TestOneMute(t *testing.T) {
	w := newWorld(t)
	all := addrs(40, false)
	c := w.card(1, all...)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", all...)
	w.run(5 * sec)
	from := w.now
	c.speaks[all[4]] = false
	w.run(10 * sec)
	got := of[Dead](w, from)
	if len(got) < 6 || len(got) > 10 {
		t.Errorf("told %d times in 10 s", len(got))
	}
	for _, o := range got {
		if o.Lease != all[4].String() || o.Unheard {
			t.Errorf("told %+v", o)
		}
	}
	// The living ones of the samples are asked by nobody but their speaker; one question is due
	// that finds out whether it hears what is asked of all.
	casts := 0
	for _, o := range of[Ask](w, from) {
		if o.To == broadcast && o.Addr != all[4] {
			casts++
		}
	}
	if casts > 1 {
		t.Errorf("asks all %d times for addresses that answer", casts)
	}
	c.speaks[all[4]] = true
	w.run(2 * sec)
	from = w.now
	w.run(3 * sec)
	if got := of[Dead](w, from); len(got) > 0 {
		t.Errorf("it speaks again, and is told %+v", got)
	}
}

// A new speaker that has begun for some of its VIPs only, and a VIP that it never answers
// for.
func TestUnheard(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		all := addrs(5, v6)
		w.card(1, all[1:]...)
		w.gateway(Path{"eth0", v6})
		w.stand(1, "eth0", all...)
		w.run(2900 * ms)
		if got := of[Dead](w, 0); len(got) > 0 {
			t.Fatalf("told %+v before the epoch was 3 s old", got)
		}
		w.run(60 * sec)
		got := of[Dead](w, 0)
		if len(got) != 1 || !got[0].Unheard || got[0].Lease != all[0].String() || len(got[0].Addrs) != 1 {
			t.Errorf("told %+v, want one Unheard of %v", got, all[0])
		}
		w.run(10 * time.Minute)
		if got := of[Dead](w, 0); len(got) != 2 {
			t.Errorf("told %d times in 11 minutes, want 2", len(got))
		}
	})
}

// What is handed to a living card a moment ago is not condemned with it, and condemns
// nothing: a hundred new VIPs do not speak yet, one old one does.
func TestNewVIPsOfALivingCard(t *testing.T) {
	w := newWorld(t)
	all := addrs(101, false)
	w.card(1, all[0])
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", all[0])
	w.run(5 * sec)
	w.stand(1, "eth0", all[1:]...)
	w.run(2900 * ms)
	if got := of[Dead](w, 0); len(got) > 0 {
		t.Errorf("told %+v", got[0])
	}
}

// What came to a card after it was heard last does not die with it: it may not speak yet.
func TestNewVIPsOfADeadCard(t *testing.T) {
	w := newWorld(t)
	all := addrs(12, false)
	c := w.card(1, all...)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", all[:10]...)
	w.run(5 * sec)
	c.dead = true
	w.run(2 * ms)
	w.stand(1, "eth0", all[10:]...)
	w.run(sec)
	dead := w.deadSet(0)
	if len(dead) != 10 || dead[all[10]] || dead[all[11]] {
		t.Errorf("%d told dead: %v", len(dead), dead)
	}
}

// A card that is heard about another address meanwhile is not dead as a whole.
func TestCardHeardMeanwhile(t *testing.T) {
	w := newWorld(t)
	all := addrs(30, false)
	c := w.card(1, all...)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", all...)
	w.run(10 * sec)
	c.dead = true
	w.run(wait + 50*ms)
	sampled := map[string]bool{}
	for _, o := range of[Ask](w, w.now-wait-50*ms) {
		sampled[o.Lease] = true
	}
	for _, a := range all {
		if !sampled[a.String()] {
			w.hear(0, Sound{Kind: Claim, Interface: "eth0", Addr: a, From: mac(1), SameLease: true, Transitions: 1})
			break
		}
	}
	w.run(verdict)
	if dead := names(w, 0); len(dead) > 0 {
		t.Errorf("%d told dead as soon as if the card were: it lives, and is perhaps only slow", len(dead))
	}
	w.run(time.Duration(Defaults().DirectRepeats-Defaults().Repeats) * wait)
	dead := names(w, 0)
	if len(dead) == 0 || len(dead) > 8 {
		t.Errorf("%d told dead, want a sample at most", len(dead))
	}
	for name := range dead {
		if !sampled[name] {
			t.Errorf("%s was not asked for", name)
		}
	}
}

// Only what is known at the moment is told: neither what speaks again, nor what was dead
// when it could be asked last.
func TestDeadIsOfTheMoment(t *testing.T) {
	for _, revive := range []bool{true, false} {
		w := newWorld(t)
		a, b := addr(1, false), addr(2, false)
		c1, c2 := w.card(1, a), w.card(2, b)
		w.gateway(Path{"eth0", false})
		w.gateway(Path{"eth1", false})
		w.d.Follow(w.now, "l", View{Role: Stand, Near: true, Since: w.now, Transitions: 1, Places: []Place{
			{Addr: a, Interface: "eth0", Speaker: mac(1)},
			{Addr: b, Interface: "eth1", Speaker: mac(2)},
		}})
		w.take()
		w.run(3 * sec)
		c2.dead = true
		w.run(sec)
		if revive {
			c2.dead = false
			w.run(200 * ms)
		} else {
			w.d.Witnesses(w.now, Path{"eth1", false}, nil)
			w.run(5 * sec)
		}
		c1.dead = true
		from := w.now
		w.run(500 * ms)
		got := of[Dead](w, from)
		if len(got) != 1 || len(got[0].Addrs) != 1 || got[0].Addrs[0] != a {
			t.Errorf("revived %v: told %+v", revive, got)
		}
	}
}

func names(w *world, since Time) map[string]bool {
	out := map[string]bool{}
	for a := range w.deadSet(since) {
		out[a.String()] = true
	}
	return out
}

// A card that was never heard is not told dead: without marks, or from the start.
func TestNeverHeard(t *testing.T) {
	for _, bare := range []bool{false, true} {
		w := newWorld(t)
		a := addr(1, false)
		c := w.card(1, a)
		c.bare, c.dead = bare, !bare
		w.gateway(Path{"eth0", false})
		w.stand(1, "eth0", a)
		w.run(10 * sec)
		if n := len(of[Dead](w, 0)) + len(of[Audible](w, 0)); n > 0 {
			t.Errorf("bare %v: told %d", bare, n)
		}
		asks := of[Ask](w, w.now-sec)
		var want uint8
		if bare {
			want = FlagBare
		}
		for _, o := range asks {
			if o.Flags != want || o.To == broadcast {
				t.Errorf("bare %v: asks %+v", bare, o)
			}
		}
	}
}
