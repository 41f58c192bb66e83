// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"net/netip"
	"testing"
	"time"
)

// RFC 3810 section 6.2: a general query is answered once within its delay, with all groups in as
// few frames as can be.
func TestGeneralQuery(t *testing.T) {
	var delays Time
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(500)
		l := settled(t, seed, g...)
		start := l.now
		l.hear(Query{Version: 2, Delay: 10 * time.Second})
		l.run(time.Hour)
		l.wantEach("is", 1, g...)
		delays += l.sent[0].at - start
		if last := l.sent[len(l.sent)-1].at - start; last > 10*time.Second+100*time.Millisecond {
			t.Errorf("answered after %v", last)
		}
		if want := 7; len(l.frames) != want { // 72 records each
			t.Errorf("%d frames, want %d", len(l.frames), want)
		}
	})
	if mean := delays / 50; mean < 3*time.Second || mean > 7*time.Second {
		t.Errorf("the mean delay of 50 hosts is %v, want about half of 10s", mean)
	}
}

// RFC 3810 section 6.2: a query about a group is answered with that group alone, by who is a member.
func TestQueryAboutAGroup(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(500)
		for _, version := range []int{2, 1} {
			what := []string{1: "report", 2: "is"}[version]
			l := settled(t, seed, g[:400]...)
			start := l.now
			l.hear(Query{Version: version, Group: g[7], Delay: time.Second})
			l.hear(Query{Version: version, Group: g[450], Delay: time.Second})
			l.run(time.Minute)
			l.wantEach(what, 1, g[7])
			if d := l.sent[0].at - start; d < 0 || d >= time.Second {
				t.Errorf("version %d: answered after %v", version, d)
			}
			l.forgetSent()
			l.hear(Query{Version: version, Group: g[8]})
			if len(l.sent) != 1 || l.sent[0].at != l.now {
				t.Errorf("version %d: a query without delay is answered by %v", version, l.sent)
			}
		}
	})
}

// RFC 3810 section 6.2, rules 1 and 2: there is one pending answer to general queries, the earlier
// one, and none to a query about a group that would come behind it.
func TestOnePendingAnswer(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(5)
		l := settled(t, seed, g...)
		start := l.now
		for range 100 {
			l.hear(Query{Version: 2, Delay: 10 * time.Second})
		}
		l.hear(Query{Version: 2, Delay: time.Second})
		for range 100 {
			l.hear(Query{Version: 2, Delay: 100 * time.Second})
		}
		at := l.general
		if at-start >= time.Second {
			t.Errorf("pending in %v", at-start)
		}
		l.Heard(l.now, Query{Version: 2, Group: g[0], Delay: 100 * time.Second})
		want := 1
		if l.timers.Len() > 0 { // drawn to be earlier
			if l.timers[0].at >= at {
				t.Errorf("%v and %v are pending", at, l.timers[0].at)
			}
			want = 2
		}
		l.run(time.Hour)
		for a, n := range l.count("is") {
			if a == g[0] && n != want || a != g[0] && n != 1 {
				t.Errorf("%d answers of %v", n, a)
			}
		}
	})
}

// RFC 3810 section 6.2, rule 4: there is one pending answer about a group, the earliest.
func TestOnePendingAnswerAboutAGroup(t *testing.T) {
	g := solicited(1)
	l := settled(t, 1, g...)
	start := l.now
	for i := range 200 {
		l.hear(Query{Version: 2, Group: g[0], Delay: time.Duration(1+i%50) * time.Second})
	}
	l.run(time.Hour)
	l.wantEach("is", 1, g...)
	if d := l.sent[0].at - start; d > time.Second {
		t.Errorf("the earliest of 200 answers comes after %v", d)
	}
}

// RFC 2710 section 4: each group answers by itself, at random within the delay.
func TestGeneralQueryOfVersion1(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(300)
		l := settled(t, seed, g...)
		start := l.now
		l.hear(Query{Version: 1, Delay: 10 * time.Second})
		l.run(time.Minute)
		l.wantEach("report", 1, g...)
		early, order := 0, 0
		for i, s := range l.sent {
			if d := s.at - start; d > 10*time.Second {
				t.Errorf("%v after %v", s.group, d)
			} else if d < 5*time.Second {
				early++
			}
			if i > 0 && l.sent[i-1].group.Less(s.group) {
				order++
			}
		}
		if early < 140 || early > 160 || order < 100 || order > 200 {
			t.Errorf("%d of 300 in the first half, %d in order", early, order)
		}
	})
}

// RFC 2710 section 4: a pending report is put forward by a query with a delay that would be over
// before, and by no other.
func TestQueryAboutAGroupOfVersion1HurriesOnly(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(1)
		l := settled(t, seed, g...)
		start := l.now
		l.hear(Query{Version: 1, Group: g[0], Delay: 10 * time.Second})
		first := l.timers[0].at
		l.hear(Query{Version: 1, Group: g[0], Delay: 10 * time.Second})
		if l.timers[0].at != first {
			t.Errorf("drawn again")
		}
		delay := (first - start) / 2
		l.hear(Query{Version: 1, Group: g[0], Delay: delay})
		l.run(time.Minute)
		l.wantEach("report", 1, g...)
		if d := l.sent[0].at - start; d > delay {
			t.Errorf("reported after %v, asked within %v", d, delay)
		}
	})
}

// RFC 3810 section 8.2.1: after a query of version 1 the listener speaks version 1, for Robustness
// times the query interval and the response interval.
func TestVersion1QuerierPresent(t *testing.T) {
	g := solicited(10)
	l := settled(t, 1, g...)
	l.hear(Query{Version: 2, Robustness: 3, Interval: 20 * time.Second, Delay: time.Hour})
	l.hear(Query{Version: 1, Delay: 5 * time.Second})
	start := l.now
	l.run(10 * time.Second)
	l.wantEach("report", 1, g...) // what version 2 had pending is cancelled
	l.forgetSent()

	l.set(g[:9]...) // RFC 2710 section 4: one Done
	l.run(5 * time.Second)
	l.wantEach("done", 1, g[9])
	if len(l.groups) != 9 {
		t.Errorf("%d groups are remembered", len(l.groups))
	}
	l.forgetSent()
	l.set(g...)
	joined := l.now
	l.run(15 * time.Second)
	l.wantEach("report", 3, g[9])
	if d := l.sent[2].at - joined; d > 2*UnsolicitedReportInterval1 {
		t.Errorf("the last report comes after %v", d)
	}
	l.forgetSent()

	// A query of version 2 is answered, but not believed.
	l.hear(Query{Version: 2, Robustness: 3, Interval: 20 * time.Second, Delay: time.Second})
	l.run(5 * time.Second)
	l.wantEach("report", 1, g...)
	l.forgetSent()

	const present = 3*20*time.Second + 5*time.Second
	l.run(start + present - l.now - 1)
	if l.Version() != 1 {
		t.Error("version 2 too early")
	}
	l.run(1)
	l.tick()
	if l.Version() != 2 {
		t.Error("version 1 too long")
	}
	l.set(g[:9]...)
	l.run(5 * time.Second)
	l.wantEach("leave", 3, g[9])
}

// RFC 3810 section 8.2.1: a change of version cancels pending answers and repeats.
func TestChangeOfVersionCancels(t *testing.T) {
	g := solicited(3)
	l := settled(t, 1, g...)
	l.hear(Query{Version: 2, Delay: 1000 * time.Second})
	l.hear(Query{Version: 2, Group: g[1], Delay: time.Second})
	l.set(g[1:]...)
	l.forgetSent()
	l.hear(Query{Version: 1, Group: netip.MustParseAddr("ff02::1:ff99:9999"), Delay: time.Second})
	l.run(100 * time.Second)
	if len(l.sent) != 0 || len(l.groups) != 2 {
		t.Errorf("sent %v, %d groups", l.sent, len(l.groups))
	}
	l.hear(Query{Version: 1, Delay: 8000 * time.Second})
	l.v1Until = l.now + time.Second
	l.run(10000 * time.Second)
	if len(l.sent) != 0 || l.Version() != 2 {
		t.Errorf("sent %v by version %d", l.sent, l.Version())
	}
}

// What has not been told even once is no repeat: it is told in the other version.
func TestChangeOfVersionKeepsWhatIsNew(t *testing.T) {
	g := solicited(1000)
	l := settled(t, 1)
	l.Set(l.now, g)
	l.Heard(l.now, Query{Version: 1, Group: g[0], Delay: time.Second})
	l.run(time.Minute)
	for a, n := range l.count("report") {
		if n < 2 {
			t.Errorf("%v: %d reports", a, n)
		}
	}
	if n := len(l.count("report")); n != 1000 {
		t.Errorf("%d groups", n)
	}
}

// A flood of queries costs no more than the pace allows, and all groups are told of all the time.
func TestFloodOfQueries(t *testing.T) {
	for name, tc := range map[string]struct {
		q    Query
		n    int
		what string
		gap  Time
	}{
		"general":            {Query{Version: 2}, 3000, "is", gap2},
		"general, one":       {Query{Version: 2}, 1, "is", gap2},
		"about a group":      {Query{Version: 2, Group: solicited(1)[0]}, 3000, "is", gap2},
		"version 1":          {Query{Version: 1}, 3000, "report", gap1},
		"version 1, one":     {Query{Version: 1}, 1, "report", gap1},
		"version 1, slow":    {Query{Version: 1, Delay: 7 * time.Second}, 3000, "report", gap1},
		"version 1, a group": {Query{Version: 1, Group: solicited(1)[0]}, 3000, "report", gap1},
	} {
		t.Run(name, func(t *testing.T) {
			g := solicited(tc.n)
			l := settled(t, 1, g...)
			const d = 10 * time.Second
			for end := l.now + d; l.now < end; l.now += 500 * time.Microsecond {
				l.hear(tc.q)
				if len(l.answers) > tc.n || l.timers.Len() > tc.n {
					t.Fatalf("%d answers and %d timers wait", len(l.answers), l.timers.Len())
				}
			}
			l.paced(tc.gap)
			want := tc.n
			if !tc.q.General() {
				want = 1
			}
			if got := len(l.count(tc.what)); got != want {
				t.Errorf("%d groups answered, want %d", got, want)
			}
			if most := int(d/tc.gap) + catchUp + 1; len(l.frames) > most {
				t.Errorf("%d frames, at most %d", len(l.frames), most)
			}
			l.run(time.Minute)
			if w := l.Wake(); w != Never {
				t.Errorf("still busy: due in %v", w-l.now)
			}
		})
	}
}
