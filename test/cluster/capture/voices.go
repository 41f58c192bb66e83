// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Voice is everything that was said for one address.
type Voice struct {
	Addr netip.Addr
	// Spans are the times in which one MAC spoke, ordered by their beginning.
	Spans []Span
	// Overlap is the longest time for which two MACs spoke at once, 0 when there was none; Both are the spans it is of.
	Overlap time.Duration
	Both    [2]Span
}

// Span is a time in which one MAC spoke for an address, with no silence longer than the window.
type Span struct {
	MAC         string
	First, Last time.Time
	// Answers counts the frames by kind.
	Answers map[Kind]int
}

// MACs lists who spoke, in the order of first speaking.
func (v Voice) MACs() []string {
	var macs []string
	for _, s := range v.Spans {
		if !slices.Contains(macs, s.MAC) {
			macs = append(macs, s.MAC)
		}
	}
	return macs
}

func (v Voice) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", v.Addr)
	for _, s := range v.Spans {
		fmt.Fprintf(&b, " %s from %s to %s %v;", s.MAC, s.First.Format("15:04:05.000"), s.Last.Format("15:04:05.000"), s.Answers)
	}
	fmt.Fprintf(&b, " overlap %s", v.Overlap)
	return b.String()
}

// Voices sorts the answers among the frames by address and by MAC. Answers of one MAC that are at most window apart are
// one span: in between, it is taken to have had the address. Two spans of different MACs overlap when one begins before
// the other's last answer; an address that moves away and back within the window therefore counts as overlapping.
// For that to mean something somebody must keep asking, more often than once per window. The frames may be in any order.
func Voices(frames []Frame, window time.Duration) map[netip.Addr]Voice {
	answers := slices.DeleteFunc(slices.Clone(frames), func(f Frame) bool { return !f.Answer() })
	slices.SortStableFunc(answers, func(a, b Frame) int { return a.Time.Compare(b.Time) })

	type speaker struct {
		addr netip.Addr
		mac  string
	}
	current := map[speaker]int{} // index of its last span
	voices := map[netip.Addr]Voice{}
	for _, f := range answers {
		who := speaker{f.Addr, f.MAC}
		v := voices[f.Addr]
		v.Addr = f.Addr
		i, spoke := current[who]
		if !spoke || f.Time.Sub(v.Spans[i].Last) > window {
			i = len(v.Spans)
			current[who] = i
			v.Spans = append(v.Spans, Span{MAC: f.MAC, First: f.Time, Answers: map[Kind]int{}})
		}
		v.Spans[i].Last = f.Time
		v.Spans[i].Answers[f.Kind]++
		voices[f.Addr] = v
	}
	for addr, v := range voices {
		for i, a := range v.Spans {
			for _, b := range v.Spans[i+1:] {
				if overlap := earlier(a.Last, b.Last).Sub(b.First); a.MAC != b.MAC && overlap > v.Overlap {
					v.Overlap, v.Both = overlap, [2]Span{a, b}
				}
			}
		}
		voices[addr] = v
	}
	return voices
}

// Of gives the frames that concern an address, ordered by time.
func Of(frames []Frame, addr netip.Addr) []Frame {
	of := slices.DeleteFunc(slices.Clone(frames), func(f Frame) bool { return f.Addr != addr })
	slices.SortStableFunc(of, func(a, b Frame) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return of
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
