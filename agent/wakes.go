// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"container/heap"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// wakes holds the reigns that want to be stepped, the first due on top: with thousands of
// VIPs a turn of the loop must not look at each. It is a container/heap.
type wakes []*reign

// wake is when the reign wants to be stepped.
func (r *reign) wake() election.Time {
	if r.skipped != nil {
		return *r.skipped
	}
	return r.state.Wake()
}

// next is when the first is due.
func (w wakes) next() election.Time {
	if len(w) == 0 {
		return election.Never
	}
	return w[0].due
}

// due takes out those due by now.
func (w *wakes) due(now election.Time) []*reign {
	var due []*reign
	for w.next() <= now {
		r, _ := heap.Pop(w).(*reign)
		due = append(due, r)
	}
	return due
}

// set puts a reign in its place, after every step.
func (w *wakes) set(r *reign) {
	switch r.due = r.wake(); {
	case r.due == election.Never:
		w.remove(r)
	case r.slot < 0:
		heap.Push(w, r)
	default:
		heap.Fix(w, r.slot)
	}
}

func (w *wakes) remove(r *reign) {
	if r.slot >= 0 {
		heap.Remove(w, r.slot)
	}
}

// Len, Less, Swap, Push and Pop are container/heap's.
func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, k int) bool { return w[i].due < w[k].due }

// Swap keeps the slots.
func (w wakes) Swap(i, k int) {
	w[i], w[k] = w[k], w[i]
	w[i].slot, w[k].slot = i, k
}

// Push is heap.Push's.
func (w *wakes) Push(x any) {
	r, _ := x.(*reign)
	r.slot = len(*w)
	*w = append(*w, r)
}

// Pop is heap.Pop's.
func (w *wakes) Pop() any {
	old := *w
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	r.slot = -1
	return r
}
