// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// sight is what was seen.
type sight struct {
	reports []probe.Report
	frames  []capture.Frame
	voices  map[netip.Addr]capture.Voice
	// noise is how late a kernel's answer was at most: on a busy machine nobody's silence or
	// overlap can be told more exactly.
	noise time.Duration
}

// silent checks that no silence was longer than a bound, and that it had an end.
func (s sight) silent(t *testing.T, atMost time.Duration) {
	t.Helper()
	for _, r := range s.reports {
		if r.Silence.Length() > atMost {
			t.Errorf("%s %s: silent for %s, want at most %s", r.Config.Kind, r.Config.Target, r.Silence.Length(), atMost)
		}
		if r.Silence.Length() > 100*time.Millisecond && r.Stopped.Sub(r.Silence.To) < 100*time.Millisecond {
			t.Errorf("%s %s: silent at the end", r.Config.Kind, r.Config.Target)
		}
	}
}

// heard checks that nobody was without an answer to "who has" for longer than a bound. It
// goes by questions that were never answered: on a busy machine, answers come late, and an
// agent leaves questions alone that come late to it. The noise counts twice: a machine that stands
// still is late itself, and mutes the agents on it until a heartbeat, as late, has come back.
func (s sight) heard(t *testing.T, atMost time.Duration) {
	t.Helper()
	for _, r := range s.reports {
		if r.Config.Kind != probe.ARP && r.Config.Kind != probe.NDP {
			continue
		}
		unanswered := unanswered(r.Lost)
		t.Logf("%s %s: unanswered for %s, %d questions of %d in all", r.Config.Kind, r.Config.Target.Addr(), unanswered, len(r.Lost), r.Sent)
		if unanswered > atMost+2*s.noise {
			t.Errorf("%s %s: questions were unanswered for %s, want at most %s and twice the noise of %s", r.Config.Kind, r.Config.Target.Addr(), unanswered, atMost, s.noise)
		}
	}
}

// unanswered is the longest time in which every question stayed without an answer.
func unanswered(lost []time.Time) time.Duration {
	var longest time.Duration
	var begun, before time.Time
	for _, at := range lost {
		if at.Sub(before) > 2*asked {
			begun = at
		}
		before = at
		longest = max(longest, at.Sub(begun)+asked)
	}
	return longest
}

// around gives the same sight, with only those losses that lie near the moment at which a
// MAC began to speak.
func (s sight) around(mac string) sight {
	near := sight{frames: s.frames, voices: s.voices, noise: s.noise}
	for _, r := range s.reports {
		r.Lost = slices.DeleteFunc(slices.Clone(r.Lost), func(at time.Time) bool {
			d := at.Sub(first(s.voices[r.Config.Target.Addr()], mac))
			return d.Abs() > 500*time.Millisecond
		})
		near.reports = append(near.reports, r)
	}
	return near
}

// of gives the same sight, with only some of the frames.
func (s sight) of(keep func(capture.Frame) bool) sight {
	var some []capture.Frame
	for _, f := range s.frames {
		if keep(f) {
			some = append(some, f)
		}
	}
	s.frames, s.voices = some, capture.Voices(some, spell)
	return s
}

// since gives the same sight, with only the frames from a time on.
func (s sight) since(at time.Time) sight {
	return s.of(func(f capture.Frame) bool { return !f.Time.Before(at) })
}

// without gives the same sight, with no frame of a MAC.
func (s sight) without(mac string) sight {
	return s.of(func(f capture.Frame) bool { return f.MAC != mac })
}

// unbroken checks that no connection ended that was kept open.
func (s sight) unbroken(t *testing.T) {
	t.Helper()
	for _, r := range s.reports {
		if r.Config.Kind != probe.Stream {
			continue
		}
		t.Logf("%s %s: %d of %d connections broken, %d of %d requests lost", r.Config.Kind, r.Config.Target, len(r.Broken), r.Config.Connections, len(r.Lost), r.Sent)
		if len(r.Broken)+len(r.Lost) > 0 {
			t.Errorf("%s %s: %d connections broke, %d requests on them were lost, errors %v", r.Config.Kind, r.Config.Target, len(r.Broken), len(r.Lost), r.Errors)
		}
	}
}

// lossless checks that every request was answered.
func (s sight) lossless(t *testing.T, kinds ...probe.Kind) {
	t.Helper()
	for _, r := range s.reports {
		if !slices.Contains(kinds, r.Config.Kind) {
			continue
		}
		t.Logf("%s %s: %d of %d requests lost", r.Config.Kind, r.Config.Target, len(r.Lost), r.Sent)
		if len(r.Lost) > 0 {
			t.Errorf("%s %s: lost %d of %d requests, the first at %s; errors %v", r.Config.Kind, r.Config.Target, len(r.Lost), r.Sent, r.Lost[0].Format(time.StampMicro), r.Errors)
		}
	}
}

// connected checks that every connection was served but for those that were open when the
// MAC began to speak: the state of a connection is its node's, and does not move.
func (s sight) connected(t *testing.T, mac string) {
	t.Helper()
	const open = 30 * time.Millisecond // of a connection that gets one line
	for _, r := range s.reports {
		if r.Config.Kind != probe.HTTP {
			continue
		}
		move := first(s.voices[r.Config.Target.Addr()], mac)
		t.Logf("%s %s: %d of %d connections lost that were open at the move, errors %v", r.Config.Kind, r.Config.Target, len(r.Lost), r.Sent, r.Errors)
		for _, at := range r.Lost {
			if d := move.Sub(at); d > open+s.noise || d < -overlap-s.noise {
				t.Errorf("%s %s: a connection of %s was lost, %s before the move; errors %v", r.Config.Kind, r.Config.Target, at.Format(time.StampMicro), d, r.Errors)
			}
		}
	}
}

// succession checks that the addresses were spoken for by one MAC and then by the next, by
// nobody else and never by both.
func (s sight) succession(t *testing.T, addrs []netip.Addr, macs ...string) {
	t.Helper()
	for _, addr := range addrs {
		v := s.voices[addr]
		if got := v.MACs(); !slices.Equal(got, macs) {
			t.Errorf("%s: spoken for by %v, want %v", addr, got, macs)
			continue
		}
		s.oneVoice(t, addr)
		for i := 1; i < len(macs); i++ {
			// A single late answer is a voice, too.
			if both := last(v, macs[i-1]).Sub(first(v, macs[i])); both > overlap+s.noise {
				t.Errorf("%s: %s still spoke %s after %s had begun: %s", addr, macs[i-1], both, macs[i], v)
			}
		}
	}
}

// oneVoice checks that no two MACs spoke for an address at once.
func (s sight) oneVoice(t *testing.T, addr netip.Addr) {
	t.Helper()
	v := s.voices[addr]
	t.Logf("%s: spoken for by %s, overlap %s", addr, strings.Join(v.MACs(), ", then "), v.Overlap)
	if v.Overlap > overlap+s.noise {
		t.Errorf("%s: two MACs for %s, want at most %s and the noise of %s: %s", addr, v.Overlap, overlap, s.noise, v)
	}
}

// first is when a MAC began to speak, last when it spoke for the last time.
func first(v capture.Voice, mac string) time.Time {
	for _, s := range v.Spans {
		if s.MAC == mac {
			return s.First
		}
	}
	return time.Time{}
}

func last(v capture.Voice, mac string) time.Time {
	var at time.Time
	for _, s := range v.Spans {
		if s.MAC == mac && s.Last.After(at) {
			at = s.Last
		}
	}
	return at
}
