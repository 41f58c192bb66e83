// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// sight is what the LAN saw of one address around a fault.
type sight struct {
	// Outage is the longest silence of the address for a client that knew it, Cold the longest time in which nobody said
	// who has it.
	Outage, Cold time.Duration
	// Endless says that one of them had no end while it was looked at.
	Endless bool
	// Voices is the longest time for which two MACs spoke at once.
	Voices time.Duration
	// Lost counts requests without an answer, Sent all of them, Broken the TCP connections that ended.
	Lost, Sent, Broken int
	// NoiseOutage and NoiseCold are the same silences in the calm before the fault.
	NoiseOutage, NoiseCold time.Duration
}

// voiceWindow is how far answers of one speaker may lie apart: questions come ten times as often.
const voiceWindow = 10 * whoHasInterval

// seen makes a sight of an address from what its probes and the capture recorded; the calm before the fault began at
// calm, the fault was at mark.
func seen(addr netip.Addr, reports []probe.Report, frames []capture.Frame, calm, mark time.Time) sight {
	var s sight
	for _, r := range reports {
		if r.Config.Target.Addr() != addr {
			continue
		}
		fault, noise := r.Longest(mark, r.Stopped), before(r, calm, mark)
		switch r.Config.Kind {
		case probe.UDP:
			s.Outage, s.NoiseOutage = fault, noise
			s.Lost, s.Sent = r.LostIn(mark, r.Stopped), r.Sent
		case probe.Stream:
			s.Broken = r.BrokenIn(mark, r.Stopped)
			continue
		default:
			s.Cold, s.NoiseCold = fault, noise
		}
		if n := len(r.Silences); n > 0 && !r.Silences[n-1].To.Before(r.Stopped) && r.Silences[n-1].Length() > time.Second {
			s.Endless = true
		}
	}
	after := slices.DeleteFunc(capture.Of(frames, addr), func(f capture.Frame) bool { return f.Time.Before(mark) })
	s.Voices = capture.Voices(after, voiceWindow)[addr].Overlap
	return s
}

// before is the longest silence in the calm: one that lasts into the fault is the fault's.
func before(r probe.Report, calm, mark time.Time) time.Duration {
	longest := r.Config.Interval
	for _, s := range r.Silences {
		if s.From.After(calm) && s.To.Before(mark) {
			longest = max(longest, s.Length())
		}
	}
	return longest
}

// settled says whether somebody has spoken for an address without a pause since a time.
func settled(addr netip.Addr, frames []capture.Frame, since, now time.Time) bool {
	last := since
	for _, f := range capture.Of(frames, addr) {
		if !f.Answer() || f.Time.Before(since) {
			continue
		}
		if f.Time.Sub(last) > 2*voiceWindow {
			return false
		}
		last = f.Time
	}
	return now.Sub(last) <= 2*voiceWindow
}
