// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
)

const (
	fastPeer = "keepalived, advert_int 0.1"
	slowPeer = "keepalived, advert_int 1"
)

// result is what a scenario measured: rounds of a fault, or figures of its own.
type result struct {
	Name, What string
	Rounds     []round         `json:",omitempty"`
	Fast, Slow []round         `json:",omitempty"`
	Figures    []figure.Figure `json:",omitempty"`
	Notes      []string        `json:",omitempty"`

	limits limits
}

// series is one time, of all rounds.
func series(rounds []round, of func(round) time.Duration) []time.Duration {
	var all []time.Duration
	for _, r := range rounds {
		all = append(all, of(r))
	}
	return all
}

func total(rounds []round, of func(round) int) int {
	n := 0
	for _, r := range rounds {
		n += of(r)
	}
	return n
}

// families picks the two sights of a round.
var families = []struct {
	name string
	of   func(round) sight
}{
	{"IPv4", func(r round) sight { return r.V4 }},
	{"IPv6", func(r round) sight { return r.V6 }},
}

// summary is the middle and the worst of a time over all rounds.
type summary struct{ median, worst time.Duration }

func summarize(rounds []round, of func(round) time.Duration) summary {
	all := series(rounds, of)
	return summary{figure.Median(all), figure.Worst(all)}
}

// figures lists everything that a result has measured.
func (r result) figures() []figure.Figure {
	all := append([]figure.Figure{}, r.Figures...)
	if len(r.Rounds) == 0 {
		return all
	}
	for _, family := range families {
		outage := func(x round) time.Duration { return family.of(x).Outage }
		cold := func(x round) time.Duration { return family.of(x).Cold }
		for _, what := range []struct {
			name string
			of   func(round) time.Duration
		}{{"outage", outage}, {"cold", cold}} {
			ours, theirs, slow := summarize(r.Rounds, what.of), summarize(r.Fast, what.of), summarize(r.Slow, what.of)
			name := r.Name + " " + family.name + " " + what.name
			all = append(all,
				r.beside(within(figure.Milliseconds(name+" median", ours.median), r.limits.median), theirs.median),
				r.beside(within(figure.Milliseconds(name+" worst", ours.worst), r.limits.worst), theirs.worst))
			if len(r.Slow) > 0 {
				all = append(all, figure.Milliseconds(slowPeer+": "+name+" median", slow.median), figure.Milliseconds(slowPeer+": "+name+" worst", slow.worst))
			}
		}
		voices := func(x round) time.Duration { return family.of(x).Voices }
		all = append(all, r.beside(figure.Milliseconds(r.Name+" "+family.name+" two voices", summarize(r.Rounds, voices).worst).AtMost(voiceNoise), summarize(r.Fast, voices).worst))
		noise := summarize(r.Rounds, func(x round) time.Duration { return family.of(x).NoiseOutage })
		coldNoise := summarize(r.Rounds, func(x round) time.Duration { return family.of(x).NoiseCold })
		all = append(all,
			figure.Milliseconds(r.Name+" "+family.name+" noise median", noise.median), figure.Milliseconds(r.Name+" "+family.name+" noise worst", noise.worst),
			figure.Milliseconds(r.Name+" "+family.name+" cold noise worst", coldNoise.worst))
		lost := figure.Lower(r.Name+" "+family.name+" requests lost", float64(total(r.Rounds, func(x round) int { return family.of(x).Lost })), "requests")
		broken := figure.Lower(r.Name+" "+family.name+" TCP connections broken", float64(total(r.Rounds, func(x round) int { return family.of(x).Broken })), "connections")
		if r.limits.lossless {
			lost = lost.AtMost(0)
		}
		if r.limits.unmoved {
			broken = broken.AtMost(0)
		}
		all = append(all, lost, broken)
	}
	moves := figure.Lower(r.Name+" moves", float64(total(r.Rounds, func(x round) int { return x.Moves })), "moves")
	if r.limits.unmoved {
		moves = moves.AtMost(0)
	}
	return append(all, moves)
}

// voiceNoise is how long, in milliseconds, two may be heard for one answer that was on its way: none is the aim.
const voiceNoise = 0.5

func within(f figure.Figure, limit time.Duration) figure.Figure {
	if limit == 0 {
		return f
	}
	return f.AtMost(float64(limit.Microseconds()) / 1000)
}

func (r result) beside(f figure.Figure, theirs time.Duration) figure.Figure {
	if len(r.Fast) == 0 {
		return f
	}
	return f.Beside(fastPeer, float64(theirs.Microseconds())/1000)
}

// head names the columns of [result.row]. Each cell holds IPv4 and IPv6.
var head = []string{
	"scenario", "outage median", "worst", "cold median", "worst", "two voices", "noise median", "worst",
	"lost", "TCP broken", "moves", "target median/worst", slowPeer, fastPeer, "notes",
}

// row is the result of a fault as a row of the table, times in milliseconds.
func (r result) row() []string {
	cells := func(rounds []round, of func(sight) time.Duration, pick func(summary) time.Duration, open bool) string {
		var parts []string
		for _, f := range families {
			endless := open && slices.ContainsFunc(rounds, func(x round) bool { return f.of(x).Endless })
			parts = append(parts, milliseconds(pick(summarize(rounds, func(x round) time.Duration { return of(f.of(x)) })), endless))
		}
		return strings.Join(parts, " / ")
	}
	// A silence may have had no end while it was looked at.
	silence := func(rounds []round, of func(sight) time.Duration, pick func(summary) time.Duration) string {
		return cells(rounds, of, pick, true)
	}
	cell := func(rounds []round, of func(sight) time.Duration, pick func(summary) time.Duration) string {
		return cells(rounds, of, pick, false)
	}
	outage := func(s sight) time.Duration { return s.Outage }
	cold := func(s sight) time.Duration { return s.Cold }
	voices := func(s sight) time.Duration { return s.Voices }
	noise := func(s sight) time.Duration { return s.NoiseOutage }
	median := func(s summary) time.Duration { return s.median }
	worst := func(s summary) time.Duration { return s.worst }
	count := func(of func(sight) int) string {
		return fmt.Sprintf("%d / %d", total(r.Rounds, func(x round) int { return of(x.V4) }), total(r.Rounds, func(x round) int { return of(x.V6) }))
	}
	peer := func(rounds []round) string {
		if len(rounds) == 0 {
			return "-"
		}
		return fmt.Sprintf("%s, cold %s, voices %s", silence(rounds, outage, median), silence(rounds, cold, median), cell(rounds, voices, worst))
	}
	target := "-"
	switch {
	case r.limits.median > 0:
		target = milliseconds(r.limits.median, false) + " / " + milliseconds(r.limits.worst, false)
	case r.limits.unmoved:
		target = "0 lost, 0 broken, 0 moves"
	case r.limits.lossless:
		target = "0 lost"
	}
	return []string{
		r.Name, silence(r.Rounds, outage, median), silence(r.Rounds, outage, worst), silence(r.Rounds, cold, median), silence(r.Rounds, cold, worst),
		cell(r.Rounds, voices, worst), cell(r.Rounds, noise, median), cell(r.Rounds, noise, worst),
		count(func(s sight) int { return s.Lost }), count(func(s sight) int { return s.Broken }),
		fmt.Sprint(total(r.Rounds, func(x round) int { return x.Moves })), target, peer(r.Slow), peer(r.Fast), strings.Join(r.Notes, "; "),
	}
}

// lines are the figures of a result that has no rounds, as rows of a table.
func (r result) lines() [][]string {
	var rows [][]string
	for i, f := range r.Figures {
		target, notes := "-", ""
		if f.Target != nil {
			target = fmt.Sprintf("%g", *f.Target)
		}
		if i == 0 {
			notes = strings.Join(r.Notes, "; ")
		}
		rows = append(rows, []string{f.Name, fmt.Sprintf("%g %s", f.Value, f.Unit), target, notes})
	}
	return rows
}
