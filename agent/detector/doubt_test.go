// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"
	"time"
)

// The path between two nodes is broken, others hear the speaker: no verdict, however
// long. Then it dies.
func TestVouched(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		w := newWorld(t)
		all := addrs(20, v6)
		c := w.card(1, all...)
		w.gateway(Path{"eth0", v6})
		w.stand(1, "eth0", all...)
		w.run(5 * sec)
		c.deaf = true
		lose := dice(3, 20)
		w.peers = func(o Ask) {
			if !c.dead && !lose() {
				w.hear(3*ms, Sound{Kind: Vouching, Interface: "eth0", Addr: o.Addr, From: mac(7), Unicast: true, SameLease: true, Transitions: 1})
			}
		}
		w.run(60 * sec)
		if got := of[Dead](w, 0); len(got) > 0 {
			t.Fatalf("told %+v", got[0])
		}
		if n := len(of[Ask](w, w.now-10*sec)); n > 700 {
			t.Errorf("%d questions in 10 s", n)
		}
		c.dead = true
		crash := w.now
		w.run(1500 * ms)
		if n := len(w.deadSet(crash)); n != 20 {
			t.Errorf("after the crash %d told dead, want 20", n)
		}
	})
}

// Signs of life in the middle of a suspicion, and what is none.
func TestSignsOfLife(t *testing.T) {
	a := addr(1, false)
	for _, tc := range []struct {
		name string
		s    Sound
		dead bool
	}{
		{"nothing", Sound{}, true},
		{"answer", Sound{Kind: Answer, From: mac(1), SameLease: true, Transitions: 1}, false},
		{"answer, recorded", Sound{Kind: Answer, From: mac(1), SameLease: true, Transitions: 1, Nonce: Nonce(-time.Hour)}, true},
		{"claim of a later epoch", Sound{Kind: Claim, From: mac(1), SameLease: true, Transitions: 2}, false},
		{"another card of the epoch", Sound{Kind: Claim, From: mac(2), SameLease: true, Transitions: 1}, false},
		{"another card of an older epoch", Sound{Kind: Answer, From: mac(2), SameLease: true, Transitions: 0}, true},
		{"another card of another Lease", Sound{Kind: Answer, From: mac(2), Transitions: 5}, false},
		{"unmarked", Sound{Kind: BareAnswer, From: mac(1)}, true},
		{"vouch", Sound{Kind: Vouching, From: mac(3), SameLease: true, Transitions: 1}, false},
		{"vouch, recorded", Sound{Kind: Vouching, From: mac(3), SameLease: true, Transitions: 1, Nonce: Nonce(-time.Hour)}, true},
		{"vouch for an older epoch", Sound{Kind: Vouching, From: mac(3), SameLease: true, Transitions: 0}, true},
		{"the speaker asks before it speaks on", Sound{Kind: Question, From: mac(1), SameLease: true, Transitions: 1, Standing: 1}, false},
		{"the speaker asks without standing", Sound{Kind: Question, From: mac(1), SameLease: true, Transitions: 1}, true},
		{"another asks", Sound{Kind: Question, From: mac(2), SameLease: true, Transitions: 1, Standing: 1, Unicast: true}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.card(1, a)
			w.gateway(Path{"eth0", false})
			w.stand(1, "eth0", a)
			w.run(sec)
			c.dead = true
			from := w.now
			tc.s.Interface, tc.s.Addr = "eth0", a
			// The crash is told verdict to verdict and an interval from here; the sign comes before.
			w.run(verdict - 15*ms)
			w.hear(0, tc.s)
			w.run(115 * ms)
			if got := w.dead(a.String(), from) != 0; got != tc.dead {
				t.Errorf("told dead: %v, want %v", got, tc.dead)
			}
		})
	}
}

// A claim of the speaker's own, again and again, may be a recorded one: it has the speaker asked more
// often, no more.
func TestClaimsOfTheDead(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	c := w.card(1, a)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", a)
	w.run(sec)
	c.dead = true
	crash := w.now
	for range 50 {
		w.hear(0, Sound{Kind: Claim, Interface: "eth0", Addr: a, From: mac(1), SameLease: true, Transitions: 1})
		w.run(20 * ms)
	}
	if at := w.dead(a.String(), crash); at == 0 || at-crash > sec {
		t.Errorf("told %v after the crash, want within a second", at-crash)
	}
}

// A call that comes late: what it was waited for meanwhile does not count, and is asked again. What was
// asked and waited for in time before does.
func TestLateRoundIsAskedAgain(t *testing.T) {
	for _, stall := range []time.Duration{15 * ms, 25 * ms, 300 * ms} {
		for after := 5 * ms; after < 250*ms; after += 10 * ms {
			w := newWorld(t)
			a := addr(1, false)
			c := w.card(1, a)
			w.gateway(Path{"eth0", false})
			w.stand(1, "eth0", a)
			w.run(sec)
			c.dead = true
			crash := w.now
			w.run(after)
			if w.dead(a.String(), crash) != 0 {
				continue
			}
			due := w.d.Wake()
			back := due + stall
			w.now = back
			w.d.Tick(back)
			w.take()
			w.run(sec)
			at := w.dead(a.String(), crash)
			if at == 0 || at-back > verdict+100*ms {
				t.Fatalf("stalled %v at +%v: told %v after the stall", stall, after, at-back)
			}
			if stall < 20*ms {
				continue
			}
			// The round that the stall was in is waited for once more, as a whole.
			asked := of[Dead](w, crash)[0].Since
			need := verdict
			if asked < due {
				need += stall + wait
			}
			if at-back < wait || at-asked < need {
				t.Errorf("stalled %v at +%v: told %v after the question, %v after the stall", stall, after, at-asked, at-back)
			}
		}
	}
}

// A sound that is handed over late tells of a stall as well as a late Tick does.
func TestLateSoundHasTheRoundAskedAgain(t *testing.T) {
	w := newWorld(t)
	a, b := addr(1, false), addr(2, false)
	c := w.card(1, a)
	w.card(2, b)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", a)
	w.stand(2, "eth0", b)
	w.run(sec)
	c.dead = true
	crash := w.now
	w.run(150 * ms)
	w.now = w.d.Wake() + 30*ms
	back := w.now
	w.d.Heard(w.now, Sound{Kind: Claim, Interface: "eth0", Addr: b, From: mac(2), SameLease: true, Transitions: 1, At: crash})
	w.run(sec)
	asked := of[Dead](w, crash)[0].Since
	if at := w.dead(a.String(), crash); asked >= back || at-asked < verdict+wait+30*ms {
		t.Errorf("told %v after the question, %v after the stall", at-asked, at-back)
	}
}

// A card that takes its time does not make this node look late to the others.
func TestSlowCardBesideFast(t *testing.T) {
	w := newWorld(t)
	w.gateway(Path{"eth0", false})
	for n := range 10 {
		w.card(n+1, addr(n, false)).delay = 290 * ms
		w.stand(n+1, "eth0", addr(n, false))
	}
	a := addr(20, false)
	c := w.card(20, a)
	w.stand(20, "eth0", a)
	w.run(20 * sec)
	c.dead = true
	crash := w.now
	w.run(sec)
	if at := w.dead(a.String(), crash); at == 0 || at-crash > verdict+104*ms {
		t.Errorf("told %v after the crash", at-crash)
	}
}

// A node that is always late gives no verdict.
func TestAlwaysLate(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	c := w.card(1, a)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", a)
	w.run(sec)
	w.late = 21 * ms
	c.dead = true
	w.run(10 * sec)
	if got := of[Dead](w, 0); len(got) > 0 {
		t.Errorf("told %+v", got[0])
	}
}

// The time-out follows the round trips, and forgets slow ones after ten minutes.
func TestTimeoutAdapts(t *testing.T) {
	for _, tc := range []struct {
		rtt      time.Duration
		min, max time.Duration // of the time from question to verdict
	}{
		{ms, verdict, verdict},
		{20 * ms, verdict, verdict},
		{40 * ms, 320 * ms, 400 * ms},
		{60 * ms, 480 * ms, 600 * ms},
		{290 * ms, 1200 * ms, 1200 * ms},
	} {
		w := newWorld(t)
		a := addr(1, false)
		c := w.card(1, a)
		c.delay = tc.rtt
		w.gateway(Path{"eth0", false})
		w.stand(1, "eth0", a)
		w.run(30 * sec)
		if got := of[Dead](w, 0); len(got) > 0 {
			t.Fatalf("round trip %v: told %+v", tc.rtt, got[0])
		}
		for _, p := range w.d.streamOrder[0].loss.part {
			if p.lost > 0 {
				t.Errorf("round trip %v: %d of %d questions count as lost", tc.rtt, p.lost, p.asked)
			}
		}
		from := w.now
		w.run(10 * sec)
		casts := 0
		for _, o := range of[Ask](w, from) {
			if o.To == broadcast {
				casts++
			}
		}
		if casts > 1 { // one is due in that time
			t.Fatalf("round trip %v: a suspicion", tc.rtt)
		}
		c.dead = true
		w.run(4 * sec)
		got := of[Dead](w, 0)
		if len(got) == 0 {
			t.Fatalf("round trip %v: not told", tc.rtt)
		}
		if d := w.dead(a.String(), 0) - got[0].Since; d < tc.min || d > tc.max {
			t.Errorf("round trip %v: told %v after the question", tc.rtt, d)
		}
	}
}

// Answers that become slow are late, not lost.
func TestSlowIsNotLost(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	c := w.card(1, a)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", a)
	w.run(5 * sec)
	c.delay = 60 * ms
	w.run(5 * sec)
	c.lose = dice(1, 100)
	w.run(50 * ms)
	c.lose = nil
	w.run(5 * sec)
	lost, asked := 0, 0
	for _, p := range w.d.streamOrder[0].loss.part {
		lost, asked = lost+int(p.lost), asked+int(p.asked)
	}
	if lost > 1 || asked < 120 {
		t.Errorf("%d of %d questions count as lost", lost, asked)
	}
}

func TestRoundTrips(t *testing.T) {
	var r roundTrips
	half := 5 * time.Minute
	for i := range 999 {
		r.add(Time(i)*ms, 500*time.Microsecond, half)
	}
	r.add(sec, 100*ms, half)
	if got := r.high(); got < 500*time.Microsecond || got > 625*time.Microsecond {
		t.Errorf("one slow of a thousand: %v", got)
	}
	r.add(2*sec, 100*ms, half)
	if got := r.high(); got < 100*ms || got > 125*ms {
		t.Errorf("two slow: %v", got)
	}
	r.add(half+sec, ms, half)
	if got := r.high(); got < 100*ms {
		t.Errorf("after five minutes: %v", got)
	}
	r.add(2*half+2*sec, ms, half)
	if got := r.high(); got > 2*ms {
		t.Errorf("after ten minutes: %v", got)
	}
	r = roundTrips{}
	for i := range 2996 {
		r.add(Time(i)*ms, ms, half)
	}
	for i := range 3 {
		r.add(3*sec, 100*ms<<i, half)
	}
	if got := r.high(); got < 100*ms || got > 125*ms {
		t.Errorf("three slow of 2,999: %v", got)
	}
	for range 10 {
		r.add(4*sec, 100*ms, half)
	}
	r.add(30*time.Minute, ms, half)
	if got := r.high(); got > 2*ms {
		t.Errorf("after a long pause: %v", got)
	}
	for d := time.Duration(0); d < 2*sec; d += d/7 + 1000 {
		if l := rttLimit(rttBucket(d)); l < d || l > d+d/4+2*time.Microsecond {
			t.Errorf("%v is in the bucket up to %v", d, l)
		}
	}
	if l := rttLimit(rttBucket(time.Hour)); l != rttLimit(rttBuckets-1) {
		t.Errorf("an hour is in the bucket up to %v", l)
	}
}
