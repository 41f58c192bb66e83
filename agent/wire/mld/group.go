// SPDX-License-Identifier: Apache-2.0

package mld

import "net/netip"

// place is where a group waits for its change to be sent.
type place uint8

const (
	nowhere place = iota
	queued        // to be sent as soon as the pace allows
	resting       // to be sent again
)

// group is a group that the card is a member of, or has left while that is still to be told.
type group struct {
	addr   netip.Addr
	member bool
	told   bool  // the LAN may know it as a member
	left   int   // how often the change is still to be sent
	change place // where it waits for that
	answer bool  // it waits to be sent as an answer
	at     Time  // when it is to wait for that, by a query about it; Never
	slot   int   // in timers; -1: not there
}

// timers is a container/heap with the group on top that is due first.
type timers []*group

// Len, Less, Swap, Push and Pop are container/heap's.
func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, k int) bool { return t[i].at < t[k].at }

// Swap keeps the slots.
func (t timers) Swap(i, k int) {
	t[i], t[k] = t[k], t[i]
	t[i].slot, t[k].slot = i, k
}

// Push is heap.Push's.
func (t *timers) Push(x any) {
	g, _ := x.(*group)
	g.slot = len(*t)
	*t = append(*t, g)
}

// Pop is heap.Pop's.
func (t *timers) Pop() any {
	old := *t
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	g.slot = -1
	return g
}
