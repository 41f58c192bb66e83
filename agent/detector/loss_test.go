// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"
	"time"
)

// Losses: a living speaker is never told dead; a lossy stream judges with more repeats, a
// very lossy one with many more, or not at all.
func TestLoss(t *testing.T) {
	for _, tc := range []struct {
		percent int
		repeats int // 0: no verdict
	}{{0, 3}, {3, 5}, {15, 12}, {30, 0}} {
		for seed := range uint64(4) {
			w := newWorld(t)
			a := addr(1, false)
			c := w.card(1, a)
			c.lose = dice(seed, tc.percent)
			w.gateway(Path{"eth0", false})
			w.stand(1, "eth0", a)
			w.run(10 * time.Minute)
			if got := of[Dead](w, 0); len(got) > 0 {
				t.Fatalf("%d %% lost: told %+v", tc.percent, got[0])
			}
			c.dead = true
			crash := w.now
			w.run(900 * ms)
			at := w.dead(a.String(), crash)
			if (at == 0) != (tc.repeats == 0) {
				t.Fatalf("%d %% lost, seed %d: told at %v", tc.percent, seed, at)
			}
			if at == 0 {
				continue
			}
			if got := at - of[Dead](w, crash)[0].Since; got != time.Duration(tc.repeats+1)*wait {
				t.Errorf("%d %% lost, seed %d: told %v after the question", tc.percent, seed, got)
			}
		}
	}
}

// The stream follows the voice until the view changes.
func TestFollowsTheVoice(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		a := addr(1, v6)
		c1 := w.card(1, a)
		w.gateway(Path{"eth0", v6})
		w.stand(1, "eth0", a)
		w.run(sec)
		c1.dead = true
		w.card(2, a)
		w.hear(0, Sound{Kind: Claim, Interface: "eth0", Addr: a, From: mac(2), SameLease: true, Transitions: 2})
		w.run(2 * sec)
		if got := of[Dead](w, 0); len(got) > 0 {
			t.Errorf("told %+v", got[0])
		}
		for _, o := range of[Ask](w, w.now-sec) {
			if o.To != mac(2) {
				t.Errorf("asks %v", o.To)
			}
		}
		from := w.now
		// A view of another epoch: the card that it names counts again.
		w.d.Follow(w.now, a.String(), View{
			Role: Stand, Near: true, Since: w.now, Transitions: 3,
			Places: []Place{{Addr: a, Interface: "eth0", Speaker: mac(1)}},
		})
		w.take()
		w.run(sec)
		if asks := of[Ask](w, from); len(asks) == 0 || asks[0].To != mac(1) {
			t.Errorf("asks %+v", asks)
		}
	})
}

// While the first candidates take the VIPs of a dead card, the rest are told all the same.
func TestOthersTakeOver(t *testing.T) {
	w := newWorld(t)
	all := addrs(100, false)
	c := w.card(1, all...)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", all...)
	w.run(12 * sec)
	c.dead = true
	crash := w.now
	w.run(60 * ms)
	c2 := w.card(2)
	for i := 0; i < 100; i += 2 {
		c2.speaks[all[i]] = true
		w.hear(time.Duration(i)*ms, Sound{Kind: Claim, Interface: "eth0", Addr: all[i], From: mac(2), SameLease: true, Transitions: 2})
	}
	w.run(500 * ms)
	dead := w.deadSet(crash)
	for i, a := range all {
		if i%2 == 1 && !dead[a] {
			t.Errorf("%v is not told dead", a)
		}
	}
}

// A card that was not asked often yet is taken to be no better than its path: who takes over on a lossy
// LAN is not found dead by the rules of a quiet one.
func TestNewCardOnALossyPath(t *testing.T) {
	for _, percent := range []int{0, 15} {
		w := newWorld(t)
		a, b := addr(1, false), addr(2, false)
		w.card(1, a).lose = dice(1, percent)
		w.gateway(Path{"eth0", false})
		w.stand(1, "eth0", a)
		w.run(2 * time.Minute)
		c := w.card(2, b)
		w.stand(2, "eth0", b)
		w.run(sec)
		c.dead = true
		crash := w.now
		w.run(2 * sec)
		at, repeats := w.dead(b.String(), crash), Defaults().Repeats
		if percent > 0 {
			repeats = Defaults().MuchRepeats
		}
		if at == 0 {
			t.Fatalf("%d %% lost: not told", percent)
		}
		if got := at - of[Dead](w, crash)[0].Since; got != time.Duration(repeats+1)*wait {
			t.Errorf("%d %% lost: told %v after the question", percent, got)
		}
	}
}

// Where others hear a card and this node does not, the path is broken, and no question counts as lost.
func TestVouchedForIsNotLost(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	c := w.card(1, a)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", a)
	w.run(5 * sec)
	c.deaf = true
	w.peers = func(o Ask) {
		w.hear(3*ms, Sound{Kind: Vouching, Interface: "eth0", Addr: o.Addr, From: mac(7), Unicast: true, SameLease: true, Transitions: 1})
	}
	w.run(30 * sec)
	for _, p := range w.d.streamOrder[0].loss.part {
		if p.lost > 0 {
			t.Errorf("%d of %d questions count as lost", p.lost, p.asked)
		}
	}
}

// A node on whose own way frames were lost condemns nobody: what seemed silent may have answered.
// The rounds that nothing was lost in count all the same.
func TestMissedIsNoSilence(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		a := addr(1, v6)
		c := w.card(1, a)
		w.gateway(Path{"eth0", v6})
		w.stand(1, "eth0", a)
		w.run(5 * sec)
		c.dead = true
		crash := w.now
		for range 100 {
			w.run(wait - ms)
			w.d.Missed(w.now)
			w.take()
		}
		if got := of[Dead](w, 0); len(got) > 0 {
			t.Fatalf("told %+v while frames were lost", got[0])
		}
		healed := w.now
		w.run(sec)
		if at := w.dead(a.String(), crash); at == 0 || at-healed > 5*wait {
			t.Errorf("told %v after the last loss", at-healed)
		}
	})
}
