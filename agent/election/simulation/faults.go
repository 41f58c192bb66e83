// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// Kind is a family of schedules.
type Kind uint8

// The kinds.
const (
	Faulty  Kind = iota // everything that may happen
	Planned             // shutdowns, exclusions and moves on a network without faults
	Calm                // losses and lags, but nothing that is a reason to move
	Edge                // faults that end just when the others act on them
)

const (
	warm = 12 * time.Second // before the first fault
	tail = 20 * time.Second // of calm after the last
)

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// build makes nodes and objects.
func (w *world) build() {
	count := 2 + w.rng.IntN(4)
	w.check.darkFrom = -1
	w.lag = milliseconds([]int{2, 20, 300, 1500}[w.rng.IntN(4)])
	w.latency = milliseconds([]int{3, 10, 100, 400}[w.rng.IntN(4)])
	w.loss = []float64{0, 0, 0.05, 0.2}[w.rng.IntN(4)]
	if w.Kind == Planned {
		w.loss, w.lag, w.latency, w.check.planned = 0, w.lag/75, w.latency/20, true
	}
	var names []string
	for i := range count {
		n := &node{
			world: w, index: i, name: string(rune('A' + i)), config: election.Defaults(string(rune('A' + i))),
			offset: w.between(0, 1000*time.Hour), rate: (w.rng.Float64() - 0.5) / 100,
		}
		if w.Config != nil {
			w.Config(&n.config, i)
		}
		n.leases, n.policies = &stream{node: n}, &stream{node: n}
		w.nodes = append(w.nodes, n)
		names = append(names, n.name)
	}
	w.rng.Shuffle(count, func(i, j int) { names[i], names[j] = names[j], names[i] })
	w.announce(func(a *announcement) { a.candidates = names })
	w.store.make("")
	for _, n := range w.nodes {
		w.at(w.between(0, time.Second), n.start)
	}
}

// schedule plans the faults and says when the run ends.
func (w *world) schedule() time.Duration {
	t, last := warm, warm
	for range 1 + w.rng.IntN(6) {
		// Faults come in bunches, and last about as long as a Lease.
		t += w.between(0, []time.Duration{500 * time.Millisecond, 3 * time.Second, 15 * time.Second}[w.rng.IntN(3)])
		lasts := w.between(0, []time.Duration{time.Second, 12 * time.Second, 25 * time.Second}[w.rng.IntN(3)])
		if w.Kind == Planned { // one after the other
			t, lasts = last+8*time.Second, lasts/2
		}
		if w.Kind == Edge { // each takes up to 20 s
			t, lasts = last+3*time.Second, 25*time.Second
		}
		w.at(t, w.fault(lasts))
		last = max(last, t+lasts)
	}
	last += 100 * time.Millisecond
	w.at(last, w.heal)
	w.check.quiet = last
	w.check.bound = w.takeover()
	return last + w.check.bound + tail
}

// takeover is the bound within which somebody speaks again. The first two standbys may be
// those that died: the others read the heartbeat less often, twice at worst.
func (w *world) takeover() time.Duration {
	c := w.nodes[0].config
	bound := c.LeaseDuration + 3*c.BeatEvery + 2*time.Second
	if len(w.nodes) > 3 {
		bound += 2 * c.IdleReadEvery
	}
	return bound
}

// heal undoes what still stands of the faults, but for dead nodes.
func (w *world) heal() {
	w.logf("faults end")
	w.announce(func(a *announcement) { a.moveTo = "" })
	for _, n := range w.nodes {
		if n.isolated < 0 || w.down < 0 {
			panic("a fault was healed twice")
		}
	}
}

func (w *world) fault(lasts time.Duration) func() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	plans := []func(*node, time.Duration) func(){w.leave, w.exclude, w.move}
	switch w.Kind {
	case Calm:
		return func() {}
	case Planned:
	case Edge:
		return w.edge(n, lasts)
	case Faulty:
		plans = append(plans, w.crash, w.crash, w.pause, w.pause, w.isolate, w.isolate, w.outage,
			w.slowness, w.stall, w.part, w.remake, w.reorder, w.alone)
	}
	return plans[w.rng.IntN(len(plans))](n, lasts)
}

// target is the speaker half of the time: most faults matter there.
func (w *world) target(n *node) *node {
	if s := w.check.speaker; s != nil && w.chance(0.6) {
		return s
	}
	return n
}

func (w *world) leave(n *node, lasts time.Duration) func() {
	return func() {
		n := w.target(n)
		n.leave(10 * time.Second)
		w.after(lasts, n.startAgain)
	}
}

func (w *world) exclude(n *node, lasts time.Duration) func() {
	return func() {
		n := w.target(n)
		w.announce(func(a *announcement) { a.excluded = map[string]bool{n.name: true} })
		w.after(lasts, func() { w.announce(func(a *announcement) { a.excluded = nil }) })
	}
}

func (w *world) move(n *node, _ time.Duration) func() {
	return func() {
		if n.incarnation != 0 {
			w.announce(func(a *announcement) { a.moveTo = n.name })
		}
	}
}

func (w *world) crash(n *node, lasts time.Duration) func() {
	forever := w.chance(0.3)
	return func() {
		n := w.target(n)
		n.end("crashes")
		if !forever {
			w.after(lasts, n.start)
		}
	}
}

func (w *world) pause(n *node, lasts time.Duration) func() {
	return func() { w.target(n).pause(lasts) }
}

func (w *world) isolate(n *node, lasts time.Duration) func() {
	return func() { w.cutOff(w.target(n), lasts) }
}

func (w *world) cutOff(n *node, lasts time.Duration) {
	w.logf("%s: no API for %s", n.name, lasts)
	n.isolated++
	w.after(lasts, func() { n.isolated--; w.redial() })
}

func (w *world) outage(_ *node, lasts time.Duration) func() {
	return func() {
		w.logf("API away for %s", lasts)
		w.down++
		w.after(lasts, func() { w.down--; w.redial() })
	}
}

// redial lets the watches that broke begin anew.
func (w *world) redial() {
	for _, n := range w.nodes {
		if !n.cut() && n.incarnation != 0 {
			n.leases.dial()
			n.policies.dial()
		}
	}
}

func (w *world) slowness(_ *node, lasts time.Duration) func() {
	return func() {
		w.logf("API slow for %s", lasts)
		w.slow++
		w.after(lasts, func() { w.slow-- })
	}
}

// stall breaks a watch of Leases; requests still go through.
func (w *world) stall(n *node, lasts time.Duration) func() {
	return func() {
		s := w.target(n).leases
		w.logf("%s: watch stalls for %s", s.node.name, lasts)
		s.broken++
		w.after(lasts, func() { s.broken--; w.redial() })
	}
}

// part cuts the wire between a node and all others.
func (w *world) part(n *node, lasts time.Duration) func() {
	return func() {
		n := w.target(n)
		w.logf("%s: no wire for %s", n.name, lasts)
		w.wire(n, 1)
		w.after(lasts, func() { w.wire(n, -1) })
	}
}

func (w *world) wire(n *node, by int) {
	n.rough = w.now
	for i := range w.nodes {
		w.apart[[2]int{n.index, i}] += by
		w.apart[[2]int{i, n.index}] += by
	}
}

// remake deletes the Lease; the manager makes it anew for its holder.
func (w *world) remake(_ *node, lasts time.Duration) func() {
	return func() {
		holder := w.store.lease.Holder
		if w.store.lease.UID == "" {
			return
		}
		w.store.delete()
		w.after(lasts/10, func() {
			if w.store.lease.UID == "" {
				w.store.make(holder)
			}
		})
	}
}

// alone makes a node the only candidate for as long as it takes to cut it off.
func (w *world) alone(n *node, lasts time.Duration) func() {
	return func() {
		n := w.target(n)
		var others []string
		w.announce(func(a *announcement) { others, a.candidates = a.candidates, []string{n.name} })
		w.after(lasts/2, func() {
			w.cutOff(n, lasts/2)
			w.announce(func(a *announcement) { a.candidates = others })
		})
	}
}

func (w *world) reorder(n *node, _ time.Duration) func() {
	return func() {
		w.announce(func(a *announcement) {
			if i := slices.Index(a.candidates, n.name); i >= 0 && len(a.candidates) > 1 && w.chance(0.5) {
				a.candidates = slices.Delete(a.candidates, i, i+1)
				return
			}
			if !slices.Contains(a.candidates, n.name) {
				a.candidates = append(a.candidates, n.name)
			}
			w.rng.Shuffle(len(a.candidates), func(i, j int) { a.candidates[i], a.candidates[j] = a.candidates[j], a.candidates[i] })
		})
	}
}
