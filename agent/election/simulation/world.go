// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// Options say what a run plays.
type Options struct {
	// Seed determines everything.
	Seed uint64
	// Kind chooses the faults.
	Kind Kind
	// Config changes the Config of a node, by its index; nil: none is changed.
	Config func(c *election.Config, node int)
	// Flaw is built into the machines' surroundings, to see whether the checks notice.
	Flaw Flaw
	// Trace keeps the events for Result.Trace.
	Trace bool
}

// Flaw is something a driver of the machine, or the API server, could do wrong.
type Flaw uint8

// The flaws.
const (
	NoFlaw        Flaw = iota
	GateBlind          // the gate looks at the voice alone
	ClockStops         // a node's clock does not count its pauses
	NoCompare          // the store writes without comparing
	SwapsBelieved      // every write counts as a success
	StaleReads         // heartbeats are read from an old cache
	NoTicks            // nobody wakes the machine
	NoFollows          // heartbeats are never read
	DeafToClaims       // what is heard does not reach the machine
)

// Result is what came of a run.
type Result struct {
	// Err is the violation that ended the run; nil: none.
	Err error
	// Trace is the run's last events, one a line.
	Trace string
	// Overlap is the longest time that giver and receiver of a handover both spoke, on a
	// wire that lost nothing, and Lossy where it did or the gift was taken back.
	Overlap, Lossy time.Duration
	// Dark is the longest time without a voice, from the first voice on, and Settle the
	// time from the last fault to a voice.
	Dark, Settle time.Duration
	// Voices counts the changes of voice, Writes those of the Lease.
	Voices, Writes int
}

const (
	traceLines = 120
	wireMax    = 2 * time.Millisecond // the longest way of a frame
	frameLimit = 100 * time.Millisecond
	tickLimit  = 500 * time.Millisecond
	beatTime   = time.Second     // time-out of heartbeats and reads
	swapTime   = 3 * time.Second // time-out of writes
)

// world is a run: its clock, its queue and everything in it.
type world struct {
	Options
	rng    *rand.Rand
	now    time.Duration
	queue  queue
	seq    int
	nodes  []*node
	store  *store
	policy policy
	check  checker
	lines  []string

	loss    float64       // of each frame
	lag     time.Duration // of watches, at most
	latency time.Duration // of the API, one way, at most
	slow    int           // > 0: the API takes seconds
	down    int           // > 0: the API is away
	apart   map[[2]int]int
}

// Run plays one schedule.
func Run(o Options) Result {
	w := &world{
		Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x61727065)), apart: map[[2]int]int{},
	}
	w.store = &store{world: w, beats: map[string]beat{}}
	w.build()
	end := w.schedule()
	for len(w.queue) > 0 && w.check.err == nil {
		e := heap.Pop(&w.queue).(event)
		if e.at > end {
			break
		}
		w.now = e.at
		e.do()
		w.check.after(w)
	}
	r := w.check.Result
	r.Err, r.Writes = w.check.err, w.store.writes
	if r.Err != nil {
		r.Err = fmt.Errorf("seed %d, at %s: %w", o.Seed, w.now, r.Err)
	}
	r.Trace = strings.Join(w.lines, "\n")
	return r
}

// at plans something that happens outside of any node.
func (w *world) at(t time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{at: max(t, w.now), seq: w.seq, do: do})
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
	if len(w.lines) > traceLines {
		w.lines = slices.Delete(w.lines, 0, len(w.lines)-traceLines)
	}
}

// send puts a frame on the wire between two nodes.
func (w *world) send(from, to *node, arrive func()) {
	if w.apart[[2]int{from.index, to.index}] > 0 || w.chance(w.loss) {
		return
	}
	delay := w.between(20*time.Microsecond, 200*time.Microsecond)
	if w.chance(0.1) {
		delay = w.between(0, wireMax)
	}
	sent := w.now
	to.after(delay, func() {
		if w.now-sent <= frameLimit { // by the kernel's timestamp
			arrive()
		}
	})
}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

// queue is a heap of events by time, then in the order they were planned.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}
