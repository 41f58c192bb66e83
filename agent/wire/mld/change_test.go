// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// RFC 3810 section 6.1: a change is told at once, and Robustness-1 times more, at random within
// the Unsolicited Report Interval each time.
func TestChangesAreToldAtOnceAndAgain(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(1)
		for _, what := range []string{"join", "leave"} {
			l := settled(t, seed)
			if what == "leave" {
				l = settled(t, seed, g...)
				g = nil
			}
			start := l.now
			l.set(g...)
			if len(l.sent) != 1 || l.sent[0].at != start {
				t.Fatalf("%s: at once %v", what, l.sent)
			}
			l.run(time.Hour)
			l.wantEach(what, 2, solicited(1)...)
			if d := l.sent[1].at - start; d < 0 || d >= UnsolicitedReportInterval {
				t.Errorf("%s: again after %v", what, d)
			}
		}
	})
}

// RFC 3810 section 9.1: the number of times is the querier's Robustness; one is taken for two.
func TestRobustnessIsTheQueriers(t *testing.T) {
	for qrv, want := range map[int]int{0: 2, 1: 2, 2: 2, 5: 5, 7: 7} {
		l := settled(t, 1)
		l.hear(Query{Version: 2, Robustness: 6})
		l.hear(Query{Version: 2, Robustness: qrv})
		l.set(solicited(3)...)
		l.run(time.Hour)
		l.wantEach("join", want, solicited(3)...)
	}
}

// RFC 3810 section 6.1: what changes while the last change is being told is told as it is then.
func TestNewChangeEndsTheOldOnes(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		g := solicited(2)
		l := settled(t, seed, g...)
		l.set(g[1])
		l.set(g...)
		l.set(g[1])
		l.run(time.Hour)
		var whats []string
		for _, s := range l.sent {
			if s.group != g[0] {
				t.Errorf("%s of %v, which did not change", s.what, s.group)
			}
			whats = append(whats, s.what)
		}
		if diff := cmp.Diff([]string{"leave", "join", "leave", "leave"}, whats); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if len(l.groups) != 1 {
			t.Errorf("%d groups are remembered", len(l.groups))
		}
	})
}

// RFC 3810 section 5.2.15: one report has as many records as fit, and no more than it must have.
func TestManyChangesAreFewFrames(t *testing.T) {
	for mtu, records := range map[int]int{0: 61, 1280: 61, 1500: 72, 9000: 447} {
		l := newLAN(t, 1)
		card := us
		card.MTU = mtu
		l.SetCard(l.now, card)
		all := solicited(5000)
		start := l.now
		l.set(all...)
		l.run(time.Hour)
		l.wantEach("join", 2, all...)
		frames := (5000 + records - 1) / records
		// The second time may begin in the last frame of the first, or come in two parts.
		if got := len(l.frames); got < 2*frames-1 || got > 2*frames+2 {
			t.Errorf("MTU %d: %d frames, want twice %d", mtu, got, frames)
		}
		if d := l.sent[4999].at - start; d > Time(frames)*gap2 {
			t.Errorf("MTU %d: all were told after %v", mtu, d)
		}
		for i, s := range l.sent[:5000] {
			if s.group != all[i] {
				t.Fatalf("MTU %d: number %d is %v", mtu, i, s.group)
			}
		}
	}
}

// paced wants no more frames in any stretch of time than the gap allows, and those that catch up.
func (l *lan) paced(gap Time) {
	l.t.Helper()
	var at []Time
	for i, s := range l.sent {
		if i == 0 || s.frame != l.sent[i-1].frame {
			at = append(at, s.at)
		}
	}
	for i := range at {
		for k := i + 1; k < min(len(at), i+100); k++ {
			if most := int((at[k]-at[i])/gap) + catchUp + 1; k-i+1 > most {
				l.t.Fatalf("%d frames within %v", k-i+1, at[k]-at[i])
			}
		}
	}
}

func TestFramesArePaced(t *testing.T) {
	l := settled(t, 1)
	l.set(solicited(3000)...)
	l.run(time.Second)
	l.set()
	l.run(time.Minute)
	l.paced(gap2)
	l = settled(t, 1)
	l.hear(Query{Version: 1})
	l.set(solicited(3000)...)
	l.run(time.Minute)
	l.set()
	l.run(time.Minute)
	l.paced(gap1)
}

// What was never told needs no word when it goes.
func TestGroupThatNobodyKnewGoesInSilence(t *testing.T) {
	l := settled(t, 1)
	all := solicited(1000) // more than go out at once
	l.Set(l.now, all)
	l.Set(l.now, nil)
	l.run(time.Hour)
	if len(l.sent) != 0 || len(l.groups) != 0 {
		t.Errorf("sent %v, %d groups are remembered", l.sent, len(l.groups))
	}
}

// RFC 3810 section 6: some addresses are never reported.
func TestWhatIsNeverReported(t *testing.T) {
	l := settled(t, 1)
	link := netip.MustParseAddr("ff02::77")
	l.set(netip.MustParseAddr("ff02::1"), netip.MustParseAddr("ff01::1:ff00:1"), netip.MustParseAddr("ff00::5"), netip.Addr{},
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("224.0.0.5"), netip.MustParseAddr("::ffff:224.0.0.5"),
		link, link, link.WithZone("eth0"))
	l.hear(Query{Version: 2})
	l.run(time.Hour)
	for _, s := range l.sent {
		if s.group != link {
			t.Errorf("%s of %v", s.what, s.group)
		}
	}
	if l.Len() != 1 || len(l.sent) < 2 {
		t.Errorf("%d groups, sent %v", l.Len(), l.sent)
	}
}

// RFC 3810 section 5.2.13: the source is link-local. Until there is one, reports wait.
func TestReportsWaitForALinkLocalAddress(t *testing.T) {
	g := solicited(200)
	l := &lan{Listener: New(1), t: t, now: time.Hour}
	l.set(g...)
	l.hear(Query{Version: 2})
	l.SetCard(l.now, Card{MAC: us.MAC, MTU: 1500})
	l.run(time.Hour)
	if len(l.sent) != 0 || l.Wake() != Never {
		t.Fatalf("sent %v without an address, due at %v", l.sent, l.Wake())
	}
	l.SetCard(l.now, us)
	l.run(time.Minute)
	l.wantEach("join", 2, g...)
	l.forgetSent()

	// It goes and comes back: what changed meanwhile is told then, and the rest as well.
	l.SetCard(l.now, Card{MAC: us.MAC, MTU: 1500})
	l.set(g[:100]...)
	for range 100 {
		l.set(solicited(300)[:100]...)
		l.set(append(solicited(300)[200:], g[:100]...)...)
	}
	l.set(g[:100]...)
	l.run(time.Hour)
	if len(l.sent) != 0 || len(l.changes) != 0 || len(l.groups) != 200 {
		t.Errorf("sent %v, %d changes, %d groups", l.sent, len(l.changes), len(l.groups))
	}
	l.SetCard(l.now, us)
	l.run(time.Hour)
	n := map[string]int{}
	for _, s := range l.sent {
		if (s.what == "join") != slices.Contains(g[:100], s.group) {
			t.Errorf("%s of %v", s.what, s.group)
		}
		n[s.what]++
	}
	if n["join"] != 200 || n["leave"] != 200 || len(l.groups) != 100 {
		t.Errorf("sent %v, %d groups", n, len(l.groups))
	}
}

// A new address, a new card, or a carrier that is back: the switch is another, or has forgotten.
func TestAllIsToldAgain(t *testing.T) {
	g := solicited(100)
	for name, change := range map[string]func(l *lan){
		"address": func(l *lan) {
			card := us
			card.LinkLocal = netip.MustParseAddr("fe80::2")
			l.SetCard(l.now, card)
		},
		"carrier": func(l *lan) { l.Again(l.now) },
	} {
		l := settled(t, 1, g...)
		change(l)
		l.tick()
		l.run(time.Hour)
		l.wantEach("join", 2, g...)
		l.forgetSent()
		l.SetCard(l.now, l.card)
		l.run(time.Hour)
		l.wantEach("join", 0, g...)
		if name == "carrier" {
			l.SetCard(l.now, Card{MAC: neighbor.MAC{2, 9}, LinkLocal: us.LinkLocal})
			if l.Wake() == Never {
				t.Error("another MAC is no reason to report")
			}
		}
	}
}

// The same events and the same seed give the same frames.
func TestSameSeedSameFrames(t *testing.T) {
	run := func(seed uint64) [][]byte {
		g := solicited(500)
		l := newLAN(t, seed, g...)
		l.run(time.Second)
		l.hear(Query{Version: 2, Delay: time.Second})
		l.set(g[200:]...)
		l.run(time.Second)
		l.hear(Query{Version: 1, Delay: time.Second})
		l.run(time.Second)
		l.SetCard(l.now, Card{})
		l.set(g[300:]...)
		l.SetCard(l.now, us)
		l.run(time.Hour)
		return l.frames
	}
	if diff := cmp.Diff(run(7), run(7)); diff != "" {
		t.Error("another run, other frames")
	}
	if cmp.Equal(run(7), run(8)) {
		t.Error("another seed, the same frames")
	}
}
