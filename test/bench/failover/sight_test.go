// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

var (
	start = time.Unix(1000, 0)
	vip   = netip.MustParseAddr("192.0.2.1")
)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// report is what a probe from 0 to 20 s says that saw silences and losses at these times.
func report(kind probe.Kind, every time.Duration, addr netip.Addr, silences [][2]int, lost ...int) probe.Report {
	r := probe.Report{
		Config:  probe.Config{Kind: kind, Target: netip.AddrPortFrom(addr, 80), Interval: every},
		Started: start, Stopped: at(20000), Sent: 100,
	}
	for _, s := range silences {
		r.Silences = append(r.Silences, probe.Silence{From: at(s[0]), To: at(s[1])})
	}
	for _, ms := range lost {
		r.Lost = append(r.Lost, at(ms))
	}
	return r
}

// heard gives answers of a MAC, every ten milliseconds from one time to another.
func heard(addr netip.Addr, mac string, from, to int) []capture.Frame {
	var frames []capture.Frame
	for ms := from; ms <= to; ms += 10 {
		frames = append(frames, capture.Frame{Time: at(ms), Kind: capture.ARPReply, Addr: addr, MAC: mac, Destination: "asker"})
	}
	return frames
}

func TestSeen(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.2")
	reports := []probe.Report{
		// A start, a calm with a hiccup, a fault that begins just before its mark, and a small one after.
		report(probe.UDP, requestInterval, vip, [][2]int{{0, 900}, {2000, 2030}, {9995, 10250}, {12000, 12020}}, 500, 10000, 10100),
		report(probe.ARP, whoHasInterval, vip, [][2]int{{10000, 10300}}),
		report(probe.UDP, requestInterval, other, [][2]int{{11000, 19000}}, 12000),
	}
	stream := report(probe.Stream, streamInterval, vip, [][2]int{{10000, 15000}})
	stream.Broken = []time.Time{at(5000), at(10100)}
	frames := append(heard(vip, "a", 0, 10100), heard(vip, "b", 10040, 20000)...)
	want := sight{
		Outage: 255 * time.Millisecond, Cold: 300 * time.Millisecond, Voices: 60 * time.Millisecond,
		Lost: 2, Sent: 100, Broken: 1, NoiseOutage: 30 * time.Millisecond, NoiseCold: whoHasInterval,
	}
	if diff := cmp.Diff(want, seen(vip, append(reports, stream), frames, at(1000), at(10000))); diff != "" {
		t.Error(diff)
	}
}

func TestSeenWithoutAnEnd(t *testing.T) {
	s := seen(vip, []probe.Report{report(probe.UDP, requestInterval, vip, [][2]int{{10000, 20000}})}, nil, start, at(10000))
	if !s.Endless || s.Outage != 10*time.Second {
		t.Errorf("%+v, want an outage of 10 s and no end", s)
	}
	s = seen(vip, []probe.Report{report(probe.UDP, requestInterval, vip, [][2]int{{19980, 20000}})}, nil, start, at(10000))
	if s.Endless {
		t.Errorf("%+v: the last answers that are not there yet are no endless outage", s)
	}
}

func TestSettled(t *testing.T) {
	for name, test := range map[string]struct {
		frames []capture.Frame
		want   bool
	}{
		"always":         {heard(vip, "a", 0, 5000), true},
		"changed":        {append(heard(vip, "a", 0, 3000), heard(vip, "b", 3010, 5000)...), true},
		"never":          {nil, false},
		"late":           {heard(vip, "a", 2500, 5000), false},
		"a pause":        {append(heard(vip, "a", 0, 3000), heard(vip, "a", 3300, 5000)...), false},
		"silent at last": {heard(vip, "a", 0, 4700), false},
		"a pause before": {append(heard(vip, "a", 0, 1000), heard(vip, "a", 1900, 5000)...), true},
	} {
		if got := settled(vip, test.frames, at(2000), at(5000)); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestFirstElsewhere(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.2")
	frames := append(heard(vip, "dead", 0, 1050), heard(vip, "b", 1500, 2000)...)
	frames = append(frames, heard(vip, "c", 1200, 1210)...)
	frames = append(frames, heard(other, "dead", 0, 2000)...)
	frames = append(frames, capture.Frame{Time: at(1100), Kind: capture.Question, Addr: vip, MAC: "asker"},
		capture.Frame{Time: at(1110), Kind: capture.ARPClaim, Addr: vip, MAC: "c", Destination: "all"})
	want := map[netip.Addr]time.Duration{vip: 200 * time.Millisecond}
	if diff := cmp.Diff(want, firstElsewhere(frames, "asker", "dead", at(1000)), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for since, want := range map[int]bool{1000: true, 2000: false} {
		if got := answered(frames, []netip.Addr{vip, other}, at(since)); got != want {
			t.Errorf("all answered since %d ms: %v, want %v", since, got, want)
		}
	}
}

func TestMerge(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::1")
	r := merge(map[netip.Addr]sight{
		vip:                              {Outage: 3, Voices: 1, Lost: 1, Sent: 10},
		netip.MustParseAddr("192.0.2.2"): {Outage: 2, Cold: 5, Lost: 2, Sent: 10, Broken: 4, Endless: true},
		six:                              {Outage: 7},
	})
	want := round{V4: sight{Outage: 3, Cold: 5, Voices: 1, Lost: 3, Sent: 20, Broken: 4, Endless: true}, V6: sight{Outage: 7}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}
