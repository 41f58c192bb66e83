// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// run runs a program on a host and gives what it prints, whatever its exit status.
func (w *world) run(t *testing.T, host string, command ...string) string {
	t.Helper()
	out, err := w.lab.Command(t.Context(), host, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}

// ask asks from a host who has an address, by ARP or NDP, and gives the MACs of the
// answers, each once.
func (w *world) ask(t *testing.T, host string, addr netip.Addr) []string {
	t.Helper()
	command := []string{"arping", "-c", "2", "-w", "1", "-I", cluster.LANInterface, addr.String()}
	if addr.Is6() {
		command = []string{"ndisc6", "-m", "-r", "1", "-w", "300", addr.String(), cluster.LANInterface}
	}
	var macs []string
	for _, word := range strings.FieldsFunc(strings.ToLower(w.run(t, host, command...)), func(r rune) bool { return strings.ContainsRune(" \n[]", r) }) {
		if _, ok := w.lab.HostByMAC(word); ok && !slices.Contains(macs, word) {
			macs = append(macs, word)
		}
	}
	return macs
}

// watch is what the LAN sees while something happens.
type watch struct {
	lan     *capture.Capture
	probes  []*cluster.Probing
	control *cluster.Probing // the gateway asks for the client, whose kernel answers
}

const (
	// asked is how often the gateway asks who has an address while the LAN is watched.
	asked = 10 * time.Millisecond
	// overlap is how long two may answer for an address in a handover, on an idle machine.
	overlap = 5 * time.Millisecond
)

// look begins to watch: the gateway asks who has each address, the client sends requests
// of the given kinds to it, the switch records who answers. All of it is well before.
func (w *world) look(t *testing.T, every time.Duration, addrs []netip.Addr, kinds ...probe.Kind) *watch {
	t.Helper()
	for _, addr := range addrs {
		w.reachable(t, addr, kinds...)
	}
	lan, err := w.lab.Capture()
	if err != nil {
		t.Fatal(err)
	}
	s := &watch{lan: lan}
	t.Cleanup(func() {
		if s.lan != nil {
			_, _ = s.lan.Close() // the test has failed before it could look at it
		}
	})
	begin := func(host string, kind probe.Kind, addr netip.Addr, every time.Duration) *cluster.Probing {
		t.Helper()
		p, err := w.lab.Probe(t.Context(), host, probe.Config{Kind: kind, Target: netip.AddrPortFrom(addr, port), Interval: every})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	client, err := w.lab.Host(client1)
	if err != nil {
		t.Fatal(err)
	}
	s.control = begin(cluster.Gateway, probe.ARP, client.IPv4, asked)
	for _, addr := range addrs {
		who := probe.ARP
		if addr.Is6() {
			who = probe.NDP
		}
		s.probes = append(s.probes, begin(cluster.Gateway, who, addr, asked))
		for _, kind := range kinds {
			s.probes = append(s.probes, begin(client1, kind, addr, every))
		}
	}
	time.Sleep(500 * time.Millisecond) // of good health, to compare with
	return s
}

// reachable waits until requests of all kinds to an address are answered: kube-proxy's rules
// on the nodes come after the address.
func (w *world) reachable(t *testing.T, addr netip.Addr, kinds ...probe.Kind) {
	t.Helper()
	for _, kind := range kinds {
		until(t, 10*time.Second, func() error {
			if r := w.probe(t, kind, addr, 20*time.Millisecond); len(r.Lost) > 0 {
				return fmt.Errorf("%s; errors %v", r, r.Errors)
			}
			return nil
		})
	}
}

// probe sends requests from the client for a while.
func (w *world) probe(t *testing.T, kind probe.Kind, addr netip.Addr, every time.Duration) probe.Report {
	t.Helper()
	p, err := w.lab.Probe(t.Context(), client1, probe.Config{Kind: kind, Target: netip.AddrPortFrom(addr, port), Interval: every})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(25 * every)
	r, err := p.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sight is what was seen.
type sight struct {
	reports []probe.Report
	voices  map[netip.Addr]capture.Voice
	// noise is how late a kernel's answer was at most: on a busy machine nobody's silence or
	// overlap can be told more exactly.
	noise time.Duration
}

// end ends a watch, after a second more of it.
func (s *watch) end(t *testing.T) sight {
	t.Helper()
	time.Sleep(time.Second) // in which all must be well again
	control, err := s.control.Stop()
	if err != nil {
		t.Fatal(err)
	}
	seen := sight{noise: max(0, control.Silence.Length()-asked)}
	t.Logf("noise %s", seen.noise)
	for _, p := range s.probes {
		r, err := p.Stop()
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		seen.reports = append(seen.reports, r)
	}
	frames, err := s.lan.Close()
	s.lan = nil
	if err != nil {
		t.Fatal(err)
	}
	seen.voices = capture.Voices(frames, 100*time.Millisecond)
	return seen
}

// silent checks that no silence was longer than a bound, and that it had an end.
func (s sight) silent(t *testing.T, atMost time.Duration) {
	t.Helper()
	for _, r := range s.reports {
		if r.Silence.Length() > atMost {
			t.Errorf("%s %s: silent for %s, want at most %s", r.Config.Kind, r.Config.Target, r.Silence.Length(), atMost)
		}
		if r.Stopped.Sub(r.Silence.To) < 100*time.Millisecond {
			t.Errorf("%s %s: silent at the end", r.Config.Kind, r.Config.Target)
		}
	}
}

// heard checks that nobody was without an answer to "who has" for longer than a bound. It
// goes by questions that were never answered: on a busy machine, answers come late, and an
// agent leaves questions alone that come late to it.
func (s sight) heard(t *testing.T, atMost time.Duration) {
	t.Helper()
	for _, r := range s.reports {
		if r.Config.Kind != probe.ARP && r.Config.Kind != probe.NDP {
			continue
		}
		unanswered := unanswered(r.Lost)
		t.Logf("%s %s: unanswered for %s, %d questions of %d in all", r.Config.Kind, r.Config.Target.Addr(), unanswered, len(r.Lost), r.Sent)
		if unanswered > atMost+s.noise {
			t.Errorf("%s %s: questions were unanswered for %s, want at most %s and the noise of %s", r.Config.Kind, r.Config.Target.Addr(), unanswered, atMost, s.noise)
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
	near := sight{voices: s.voices, noise: s.noise}
	for _, r := range s.reports {
		r.Lost = slices.DeleteFunc(slices.Clone(r.Lost), func(at time.Time) bool {
			d := at.Sub(first(s.voices[r.Config.Target.Addr()], mac))
			return d.Abs() > 500*time.Millisecond
		})
		near.reports = append(near.reports, r)
	}
	return near
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
