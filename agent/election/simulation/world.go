// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// Options change how a script is run.
type Options struct {
	// Seed overrides the script's; 0: it does not.
	Seed uint64
	// Election and Detector change the Config of a node, by its index; nil: none is changed.
	Election func(c *election.Config, node int)
	Detector func(c *detector.Config, node int)
	// Flaw is built into the machines' surroundings, to see whether the checks notice.
	Flaw Flaw
	// Brief ends a run once all has been calm for a while after the last fault.
	Brief bool
	// Trace keeps the events for Result.Trace.
	Trace bool
}

// The world's measures.
const (
	traceLines = 400
	wireMax    = 2 * time.Millisecond   // the longest way of a frame, where nothing delays it
	frameLimit = 100 * time.Millisecond // older frames are not answered
	tickEvery  = 25 * time.Millisecond  // of a loop
	tickLimit  = 120 * time.Millisecond // beyond it the gate is shut, and the loop counts as interrupted
	rivalLimit = 100 * time.Millisecond // how long a port remembers a higher voice
	beatTime   = time.Second            // time-out of heartbeats and reads
	swapTime   = 3 * time.Second        // time-out of writes
	recallTime = 2 * time.Second        // without a list from the API, what is on disk counts
)

// world is a run: its clock, its queue and everything in it.
type world struct {
	Options
	Setup

	rng   *rand.Rand
	now   time.Duration
	queue queue
	seq   int
	end   time.Duration

	hosts     []*host
	segments  []*segment
	addresses []*address // of all Leases
	byAddr    map[addrKey]*address
	store     *store
	manager   manager
	check     checker
	lines     []string
}

// Run plays a script.
func Run(s Script, o Options) Result {
	w := newWorld(s, o)
	for _, f := range s.Faults {
		w.at(f.At, func() { w.fault(f) })
	}
	for len(w.queue) > 0 && w.check.err == nil {
		e := w.queue.pop()
		if e.at > w.end || w.Brief && w.check.content(e.at) {
			break
		}
		w.now = e.at
		e.do()
		w.check.after(w)
	}
	return w.check.result(w)
}

// at plans something that happens outside of any node.
func (w *world) at(t time.Duration, do func()) {
	w.seq++
	w.queue.push(event{at: max(t, w.now), seq: w.seq, do: do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// between draws a duration.
func (w *world) between(a, b time.Duration) time.Duration {
	if b <= a {
		return a
	}
	return a + time.Duration(w.rng.Int64N(int64(b-a)))
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *world) logf(format string, args ...any) {
	if !w.Trace {
		return
	}
	w.lines = append(w.lines, fmt.Sprintf("%9.4f ", w.now.Seconds())+fmt.Sprintf(format, args...))
	if len(w.lines) > 2*traceLines {
		w.lines = slices.Delete(w.lines, 0, len(w.lines)-traceLines)
	}
}

func (w *world) trace() string {
	return strings.Join(w.lines[max(0, len(w.lines)-traceLines):], "\n")
}
