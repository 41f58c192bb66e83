// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// recorder is what the announcer sends by.
type recorder struct {
	mu    sync.Mutex
	start time.Time
	sent  map[netip.Addr][]time.Duration
	mute  bool
}

func (r *recorder) claim(addr netip.Addr) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mute {
		return 0
	}
	r.sent[addr] = append(r.sent[addr], time.Since(r.start))
	return 2
}

func (r *recorder) setMute(mute bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mute = mute
}

// times gives when the address was sent, once everything is at rest.
func (r *recorder) times(addr netip.Addr) []time.Duration {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent[addr]
}

// announcing runs f in a bubble with an announcer that runs.
func announcing(t *testing.T, f func(*testing.T, *Announcer, *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{start: time.Now(), sent: map[netip.Addr][]time.Duration{}}
		a := NewAnnouncer(r.claim)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		f(t, a, r)
	})
}

func many(n int) []netip.Addr {
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	return addrs
}

var (
	one4 = netip.MustParseAddr("192.0.2.240")
	one6 = netip.MustParseAddr("2001:db8::f0")
)

func TestAnnouncementFollowsTheRounds(t *testing.T) {
	announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
		a.Announce(one4, one6)
		time.Sleep(time.Minute)
		for addr, want := range map[netip.Addr][]time.Duration{one4: neighbor.Rounds(true), one6: neighbor.Rounds(false)} {
			if diff := cmp.Diff(want, r.times(addr)); diff != "" {
				t.Errorf("%v sent (-want +got):\n%s", addr, diff)
			}
		}
		if len(a.jobs)+len(a.first)+len(a.later) != 0 {
			t.Errorf("left over: %d jobs, %d first, %d later", len(a.jobs), len(a.first), len(a.later))
		}
	})
}

func TestStoppedAnnouncementSendsNothingMore(t *testing.T) {
	announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
		a.Announce(one4)
		time.Sleep(100 * time.Millisecond)
		a.Stop(one4)
		time.Sleep(time.Minute)
		if n := len(r.times(one4)); n != 2 {
			t.Errorf("sent %d times, want 2", n)
		}
	})
}

func TestAnnouncedAfterAStopGoesOutAtOnce(t *testing.T) {
	announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
		a.Announce(one6)
		time.Sleep(100 * time.Millisecond)
		a.Stop(one6)
		a.Announce(one6)
		time.Sleep(100 * time.Millisecond)
		if n := len(r.times(one6)); n != 2 {
			t.Errorf("sent %d times, want 2", n)
		}
	})
}

func TestAnnouncedAgainAndAgainKeepsItsDistance(t *testing.T) {
	for _, addr := range []netip.Addr{one4, one6} {
		announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
			for range 600 { // for a minute
				a.Announce(addr)
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			sent := r.times(addr)
			for i := 1; i < len(sent); i++ {
				if gap := sent[i] - sent[i-1]; gap < time.Second && sent[i] > 250*time.Millisecond {
					t.Errorf("%v: sent at %v and %v", addr, sent[i-1], sent[i])
				}
			}
			if last := sent[len(sent)-1]; last < 62*time.Second {
				t.Errorf("%v: last sent at %v, not renewed by what came at 60 s", addr, last)
			}
			if len(a.jobs) != 0 {
				t.Errorf("%v: still going", addr)
			}
		})
	}
}

func TestNothingIsSentWithoutAVoice(t *testing.T) {
	announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
		r.setMute(true)
		a.Announce(one4)
		time.Sleep(250 * time.Millisecond)
		r.setMute(false)
		time.Sleep(time.Minute)
		if got := r.times(one4); len(got) != 4 || got[0] != 1300*time.Millisecond {
			t.Errorf("sent at %v, want the rounds after the gate opened", got)
		}
	})
}

// A thousand addresses: the first frames of all within about a second, before any second
// frame, and the rest within the limits of a switch.
func TestManyAnnouncementsAreSoonAndPaced(t *testing.T) {
	const n = 1000
	announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
		a.Announce(many(n)...)
		time.Sleep(5 * time.Minute)
		perSecond := map[int]int{}
		lastFirst, firstSecond := time.Duration(0), time.Hour
		for _, addr := range many(n) {
			sent := r.times(addr)
			if len(sent) < 5 {
				t.Fatalf("%v sent %d times only", addr, len(sent))
			}
			lastFirst, firstSecond = max(lastFirst, sent[0]), min(firstSecond, sent[1])
			for _, at := range sent {
				perSecond[int(at/time.Second)] += 2
			}
		}
		if lastFirst > 1100*time.Millisecond || firstSecond < lastFirst {
			t.Errorf("first frames until %v, second ones from %v", lastFirst, firstSecond)
		}
		for s, frames := range perSecond {
			if limit := laterRate + laterBurst; s > 1 && frames > limit {
				t.Errorf("second %d: %d frames, want at most %d", s, frames, limit)
			}
		}
	})
}

// An address that comes while thousands are announced does not wait for them.
func TestNewAnnouncementOvertakesLaterRounds(t *testing.T) {
	announcing(t, func(t *testing.T, a *Announcer, r *recorder) {
		a.Announce(many(1000)...)
		time.Sleep(3 * time.Second)
		a.Announce(one4)
		time.Sleep(20 * time.Millisecond)
		if got := r.times(one4); len(got) == 0 || got[0] > 3005*time.Millisecond {
			t.Errorf("sent at %v, announced at 3 s", got)
		}
	})
}
