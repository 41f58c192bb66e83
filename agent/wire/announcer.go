// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"container/heap"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// How many frames an announcer sends. Switches limit broadcasts, often to some hundreds a
// second and port, and drop the rest; but thousands of addresses that move at once must not
// wait in line, so the first frames of all go ahead of everything and faster.
const (
	firstRate  = 2000 // frames a second
	firstBurst = 64
	laterRate  = 500
	laterBurst = 20
)

// Announcer sends the rounds of announcement of many addresses on one interface without
// flooding it. Run is to be called once; the other methods may be called from any
// goroutine. The time is that of package time.
type Announcer struct {
	claim func(netip.Addr) int
	wake  chan struct{}

	mu    sync.Mutex // guards what follows
	jobs  map[netip.Addr]*job
	first []*job // in the order of Announce
	later jobHeap
}

// job is the announcement of one address.
type job struct {
	addr   netip.Addr
	rounds []time.Duration
	start  time.Time
	step   int       // index of the next round; len(rounds) when all are sent
	due    time.Time // of the next round; of a first one without meaning
}

// NewAnnouncer makes an announcer that sends by claim, which gives the number of frames
// sent.
func NewAnnouncer(claim func(netip.Addr) int) *Announcer {
	return &Announcer{claim: claim, wake: make(chan struct{}, 1), jobs: map[netip.Addr]*job{}}
}

// Announce starts the rounds of the addresses, or starts them over. An address that was
// sent a moment ago is not sent at once again: whoever makes the agent announce, by
// claims of his own for instance, cannot make it flood.
func (a *Announcer) Announce(addrs ...netip.Addr) {
	now := time.Now()
	a.mu.Lock()
	for _, addr := range addrs {
		if j := a.jobs[addr]; j != nil {
			j.renew()
			continue
		}
		j := &job{addr: addr, rounds: neighbor.Rounds(addr.Unmap().Is4()), start: now}
		a.jobs[addr] = j
		a.first = append(a.first, j)
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Stop ends the rounds of the addresses. Announced again after it, they go out at once.
func (a *Announcer) Stop(addrs ...netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		delete(a.jobs, addr)
	}
}

// Run sends until the context ends, and returns nil.
func (a *Announcer) Run(ctx context.Context) error {
	first, later := newBucket(firstRate, firstBurst), newBucket(laterRate, laterBurst)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause := a.sendDue(first, later)
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// idle is how long to sleep with nothing to do.
const idle = time.Hour

// sendDue sends what is due and allowed, and gives the time until there is more.
func (a *Announcer) sendDue(first, later *bucket) (pause time.Duration) {
	for {
		now := time.Now()
		j, over, bucket := a.next(now, first, later)
		if j == nil {
			return a.untilDue(now)
		}
		if wait := bucket.wait(now); wait > 0 {
			return wait
		}
		// Sent without the lock, as sending takes its time. A Stop that comes in
		// between is too late by no more than that.
		n := 0
		if !over {
			n = a.claim(j.addr)
		}
		bucket.take(n)
		a.sent(j, time.Now())
	}
}

// next gives the job to do now: a first round if there is one, else the round longest due.
// Over: there is nothing left to send for it.
func (a *Announcer) next(now time.Time, first, later *bucket) (j *job, over bool, b *bucket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.first) > 0 && a.jobs[a.first[0].addr] != a.first[0] {
		a.first = a.first[1:] // stopped
	}
	if len(a.first) > 0 {
		return a.first[0], false, first
	}
	for len(a.later) > 0 && a.jobs[a.later[0].addr] != a.later[0] {
		heap.Pop(&a.later) // stopped
	}
	if len(a.later) > 0 && !a.later[0].due.After(now) {
		j = a.later[0]
		return j, j.step == len(j.rounds), later
	}
	return nil, false, nil
}

func (a *Announcer) untilDue(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.later) == 0 {
		return idle
	}
	return a.later[0].due.Sub(now)
}

// sent puts the job where it belongs after a round.
func (a *Announcer) sent(j *job, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.first) > 0 && a.first[0] == j {
		a.first = a.first[1:]
	} else {
		heap.Pop(&a.later)
	}
	if a.jobs[j.addr] != j {
		return // stopped meanwhile
	}
	if !j.advance(now) {
		delete(a.jobs, j.addr)
		return
	}
	heap.Push(&a.later, j)
}

// spaced is the first of the rounds that are a full distance apart: the last four.
func (j *job) spaced() int { return len(j.rounds) - 4 }

// spacing is the distance between them.
func (j *job) spacing() time.Duration {
	return j.rounds[len(j.rounds)-1] - j.rounds[len(j.rounds)-2]
}

// renew starts the spaced rounds over, beginning with the one that is due next.
func (j *job) renew() {
	if s := j.spaced(); j.step > s {
		j.step, j.start = s, j.due.Add(-j.rounds[s])
	}
}

// advance sets the next round and when it is due; false when all is over. Repeats of the
// first round that are overdue are left out. The distance between two rounds counts from
// when the first was really sent.
func (j *job) advance(now time.Time) bool {
	if j.step == len(j.rounds) {
		return false
	}
	j.step++
	for j.step < j.spaced() && !j.start.Add(j.rounds[j.step+1]).After(now) {
		j.step++
	}
	if j.step == len(j.rounds) {
		// Kept for another moment, so that announced again it does not go out at once.
		j.due = now.Add(j.spacing())
		return true
	}
	j.due = j.start.Add(j.rounds[j.step])
	if least := now.Add(j.rounds[j.step] - j.rounds[j.step-1]); j.due.Before(least) {
		j.due = least
	}
	return true
}

// jobHeap is a container/heap with the job that is due first on top.
type jobHeap []*job

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(i, k int) bool { return h[i].due.Before(h[k].due) }
func (h jobHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *jobHeap) Push(x any)        { *h = append(*h, x.(*job)) }

func (h *jobHeap) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return j
}
