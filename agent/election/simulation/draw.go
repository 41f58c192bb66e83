// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is a family of schedules.
type Kind uint8

// The kinds.
const (
	Faulty  Kind = iota // everything that may happen, in bunches
	Edge                // faults that end just when the others act on them
	Single              // one fault in a sound world
	Planned             // shutdowns, exclusions and moves on a network without faults
	Calm                // losses, lags and short pauses: nothing that is a reason to move
	APIAway             // the API server does not answer, and then something happens
	Fabric              // switches that answer themselves, isolate or strip marks
	DualLAN             // addresses on two segments
	Upgrade             // successors on the same node
	Kinds
)

func (k Kind) String() string {
	return [...]string{"faulty", "edge", "single", "planned", "calm", "apiaway", "fabric", "duallan", "upgrade"}[k]
}

const (
	warm = 12 * time.Second // before the first fault
	tail = 15 * time.Second // of calm after the last
)

// drawer draws a schedule.
type drawer struct {
	*rand.Rand
	Script

	t, last time.Duration
}

// Draw gives the schedule of a seed.
func Draw(kind Kind, seed uint64) Script {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, uint64(kind)))}
	d.Comment = []string{fmt.Sprintf("Drawn: %s, seed %d.", kind, seed)}
	d.Seed = seed + 1
	d.world(kind)
	d.t, d.last = warm, warm
	draws[kind](d)
	bound := 14 * time.Second
	if d.Nodes > 3 {
		bound += time.Minute
	}
	d.End = d.last + bound + tail
	slices.SortStableFunc(d.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	return d.Script
}

var draws = [...]func(d *drawer){
	(*drawer).faulty, (*drawer).edge, (*drawer).single, (*drawer).planned, (*drawer).calm,
	(*drawer).apiAway, (*drawer).fabric, (*drawer).dualLAN, (*drawer).upgrade,
}

func one[T any](d *drawer, of ...T) T { return of[d.IntN(len(of))] }

func (d *drawer) chance(percent int) bool { return d.IntN(100) < percent }

func (d *drawer) span(a, b time.Duration) time.Duration {
	if b <= a {
		return a
	}
	return (a + time.Duration(d.Int64N(int64(b-a)))).Round(time.Millisecond)
}

// world draws what is there.
func (d *drawer) world(kind Kind) {
	d.Nodes = one(d, 2, 3, 3, 3, 4, 5)
	d.Lag = milliseconds(one(d, 5, 20, 300))
	d.Latency = milliseconds(one(d, 3, 10, 40))
	d.Drift = one(d, 0, 1, 5)
	d.Guest = d.chance(30)
	v4, v6 := Where{}, Where{V6: true}
	d.Leases = one(d, [][]Where{{v4}}, [][]Where{{v4}}, [][]Where{{v6}}, [][]Where{{v4, v6}}, [][]Where{{v4}, {v4}})
	d.Segments = 1
	switch kind {
	case Faulty, Edge:
		d.Lag = milliseconds(one(d, 5, 20, 300, 1500))
		d.Latency = milliseconds(one(d, 3, 10, 100, 400))
		d.Loss = one(d, 0, 0, 0, 2, 10)
		d.Busy, d.Forward = d.chance(30), one(d, 0, 0, 3*time.Second)
		d.NoGateway, d.NoDisk = d.chance(20), d.chance(10)
	case Calm:
		d.Loss, d.Busy = one(d, 0, 1, 3), d.chance(50)
		d.Lag = milliseconds(one(d, 5, 20, 300, 1500))
		d.Latency = milliseconds(one(d, 3, 10, 100, 400))
	case Planned, Single, APIAway, Upgrade:
		d.Lag, d.Latency = milliseconds(one(d, 5, 20)), milliseconds(one(d, 3, 10))
	case Fabric, Kinds:
	case DualLAN:
		d.Segments = 2
		w4, w6 := Where{Segment: 1}, Where{V6: true, Segment: 1}
		d.Leases = one(d, [][]Where{{v4, w4}}, [][]Where{{v4, w6}}, [][]Where{{v4}, {w4}}, [][]Where{{v4, v6, w4}})
	}
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// add adds a fault at d.t.
func (d *drawer) add(lasts time.Duration, verb string, args ...string) {
	d.addAt(d.t, lasts, verb, args...)
}

func (d *drawer) addAt(at, lasts time.Duration, verb string, args ...string) {
	d.Faults = append(d.Faults, Fault{At: at, Verb: verb, Args: args, For: lasts})
	d.last = max(d.last, at+lasts)
}

// node draws a node: the speaker most of the time, as most faults matter there.
func (d *drawer) node() string {
	return one(d, "speaker", "speaker", "speaker", "first", "second", names(d.IntN(d.Nodes)))
}

func (d *drawer) eth() string { return interfaces[d.IntN(d.Segments)] }

// bunch spaces faults: close together, or about as far apart as a Lease lasts.
func (d *drawer) bunch() time.Duration {
	d.t += d.span(0, one(d, 500*time.Millisecond, 3*time.Second, 12*time.Second))
	return d.span(10*time.Millisecond, one(d, time.Second, 8*time.Second, 20*time.Second))
}

// wild is every kind of fault, and how often it is drawn.
var wild = []struct {
	weight int
	fault  func(d *drawer, lasts time.Duration)
}{
	{4, func(d *drawer, l time.Duration) { d.add(l, "crash", d.node()) }},
	{3, func(d *drawer, l time.Duration) { d.add(l, "kill", d.node()) }},
	{3, func(d *drawer, l time.Duration) { d.add(l, "term", d.node()) }},
	{4, func(d *drawer, l time.Duration) { d.add(l, "pause", d.node()) }},
	{3, func(d *drawer, l time.Duration) { d.add(l, "stun", d.node()) }},
	{2, func(d *drawer, l time.Duration) { d.add(l, "hang", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "stutter", d.node()) }},
	{2, func(d *drawer, _ time.Duration) { d.add(0, "upgrade", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "unready", d.node()) }},
	{3, func(d *drawer, l time.Duration) { d.add(l, "carrier", d.node(), d.eth()) }},
	{1, func(d *drawer, _ time.Duration) { d.add(0, "card", d.node(), d.eth()) }},
	{3, func(d *drawer, l time.Duration) { d.add(l, "noapi", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "refused", d.node()) }},
	{2, func(d *drawer, l time.Duration) { d.add(l, "hung", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "answerless", d.node()) }},
	{2, func(d *drawer, l time.Duration) { d.add(l, one(d, "down", "refusing", "slow")) }},
	{2, func(d *drawer, l time.Duration) { d.add(l, "stall", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "stale", d.node()) }},
	{1, func(d *drawer, _ time.Duration) { d.add(0, "rewind", one(d, "1", "5", "15")) }},
	{1, func(d *drawer, l time.Duration) { d.add(l/10, "remake") }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "blind") }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "only", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "without", d.node()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, "reverse") }},
	{2, func(d *drawer, l time.Duration) { d.add(l, "exclude", d.node()) }},
	{2, func(d *drawer, l time.Duration) { d.add(l, "move", d.node()) }},
	{1, func(d *drawer, _ time.Duration) { d.add(0, "displace") }},
	{3, func(d *drawer, l time.Duration) { d.add(l, "nowire", d.node(), d.eth()) }},
	{1, func(d *drawer, l time.Duration) { d.add(l, one(d, "deaf", "mute", "filter"), d.node(), d.eth()) }},
	{2, func(d *drawer, l time.Duration) {
		d.add(l, one(d, "pair", "pair", "oneway"), d.node(), d.node(), d.eth())
	}},
	{1, func(d *drawer, l time.Duration) {
		d.add(l, one(d, "nobroadcast", "nounicast"), d.node(), d.eth())
	}},
	{2, func(d *drawer, l time.Duration) { d.add(l, "split", d.node()) }},
	{1, func(d *drawer, l time.Duration) {
		d.add(l, one(d, "suppress", "proxy", "bare", "isolated", "doubled", "delayed", "gateless"), d.eth())
	}},
	{1, func(d *drawer, l time.Duration) { d.add(l, "loss", d.eth(), one(d, "2", "10", "30")) }},
}

func (d *drawer) wild(lasts time.Duration) {
	total := 0
	for _, f := range wild {
		total += f.weight
	}
	n := d.IntN(total)
	for _, f := range wild {
		if n -= f.weight; n < 0 {
			f.fault(d, lasts)
			return
		}
	}
}
