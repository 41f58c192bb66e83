// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// checker holds the invariants against the world after every event.
type checker struct {
	Result

	err      error
	speaker  *node         // the only one, or the last one
	darkFrom time.Duration // since when nobody speaks; -1: somebody does
	both     map[[2]int]time.Duration
	rough    map[[2]int]bool // the overlap had a cause to last longer

	quiet   time.Duration // when the last fault ended; 0: not yet
	bound   time.Duration // to speak again after it
	settled bool
	owner   *node
	writes  int
	planned bool // no fault but planned moves: never dark
}

// roughFor is how long after a pause or a cut wire claims may have been missed.
const roughFor = 5 * time.Second

func (c *checker) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// after checks the state between two events.
func (c *checker) after(w *world) {
	var open []*node
	for _, n := range w.nodes {
		switch is := n.open(); {
		case !is:
			n.openFrom = -1
		case n.openFrom < 0:
			n.openFrom = w.now
		}
		if n.openFrom >= 0 && !w.unreachable(n) {
			open = append(open, n)
		}
	}
	c.voices(w, open)
	c.silence(w, open)
	c.calm(w, open)
}

// unreachable tells whether a node speaks without heartbeats although it could not learn
// that it is not the only candidate any more.
func (w *world) unreachable(n *node) bool {
	return !n.state.NeedsEcho() && n.policies.next < len(w.policy.log)
}

// taking checks that a node that has answered all the time is left alone by others.
func (c *checker) taking(w *world, by, holder string) {
	for _, n := range w.nodes {
		if n.name == holder && by != holder && w.loss == 0 && n.openFrom >= 0 &&
			w.now > max(n.openFrom, n.rough)+roughFor && w.parted() == 0 {
			c.failf("%s takes the Lease of %s, which answers", by, n)
		}
	}
}

// parted tells for how many pairs no wire is there.
func (w *world) parted() (pairs int) {
	for _, p := range w.apart {
		pairs += p
	}
	return pairs
}

// voices checks that at most one gate is open.
func (c *checker) voices(w *world, open []*node) {
	seen := map[[2]int]bool{}
	for i, a := range open {
		for _, b := range open[i+1:] {
			pair := [2]int{a.index, b.index}
			seen[pair] = true
			c.overlap(w, pair, a, b)
		}
	}
	for pair := range c.both {
		if !seen[pair] {
			delete(c.both, pair)
			delete(c.rough, pair)
		}
	}
}

func (c *checker) overlap(w *world, pair [2]int, a, b *node) {
	older, _ := a.state.Voice()
	newer, _ := b.state.Voice()
	from, to := a, b
	if older.UID == newer.UID && older.Transitions > newer.Transitions {
		older, newer, from, to = newer, older, b, a
	}
	given := w.store.gave(from.name, older)
	back := older.UID == newer.UID && w.store.tookBack(older)
	if older.UID != newer.UID { // made anew for the receiver
		given = given || w.store.gave(to.name, newer)
	}
	if !given && !back {
		c.failf("two voices without a handover: %s in %s/%d, %s in %s/%d", a, older.UID, older.Transitions, b, newer.UID, newer.Transitions)
		return
	}
	if c.both == nil {
		c.both, c.rough = map[[2]int]time.Duration{}, map[[2]int]bool{}
	}
	if _, ok := c.both[pair]; !ok {
		c.both[pair] = w.now
	}
	if back || w.loss > 0 || w.apart[pair] > 0 || w.now < max(a.rough, b.rough)+roughFor {
		c.rough[pair] = true
	}
	lasts, config := w.now-c.both[pair], a.config
	if c.rough[pair] {
		c.Lossy = max(c.Lossy, lasts)
		if bound := config.GiveBound + 2*swapTime + config.LeaseDuration - config.Margin; lasts > bound {
			c.failf("giver and receiver %s, %s both speak for %s, on a wire that loses", a, b, lasts)
		}
		return
	}
	c.Overlap = max(c.Overlap, lasts)
	if lasts > wireMax {
		c.failf("giver and receiver %s, %s both speak for %s", a, b, lasts)
	}
}

// gave tells whether a speaker in an epoch has ended that by its own hand, for another.
func (s *store) gave(speaker string, in election.Lease) bool {
	next := s.hands[epoch{in.UID, in.Transitions + 1}]
	return next.by == speaker && next.holder != ""
}

// tookBack tells whether an epoch was a gift of a node that it has taken back.
func (s *store) tookBack(in election.Lease) bool {
	gift, next := s.hands[epoch{in.UID, in.Transitions}], s.hands[epoch{in.UID, in.Transitions + 1}]
	return gift.by != gift.holder && next.by == gift.by && next.holder == next.by
}

// silence measures the time without a voice.
func (c *checker) silence(w *world, open []*node) {
	if len(open) > 0 {
		c.speaker = open[0]
		if c.darkFrom >= 0 && c.speaker != nil {
			c.darkFrom = -1
		}
		return
	}
	if c.speaker == nil {
		return
	}
	if c.darkFrom < 0 {
		c.darkFrom = w.now
	}
	c.Dark = max(c.Dark, w.now-c.darkFrom)
	if c.planned && c.Dark > wireMax && w.now > 20*time.Second {
		c.failf("dark for %s although all was planned", c.Dark)
	}
}

// calm checks that the VIP is spoken for within the bound after the last fault, and that
// nothing changes from then on.
func (c *checker) calm(w *world, open []*node) {
	if c.quiet == 0 || w.now < c.quiet {
		return
	}
	if len(open) > 0 && c.Settle == 0 {
		c.Settle = w.now - c.quiet
	}
	if w.now < c.quiet+c.bound {
		return
	}
	if !c.settled {
		c.settled, c.writes = true, w.store.writes
		if len(open) > 0 {
			c.owner = open[0]
		}
	}
	switch eligible := w.eligible(); {
	case len(open) == 0 && eligible:
		c.failf("nobody speaks %s after the last fault", w.now-c.quiet)
	case len(open) > 0 && c.owner != open[0]:
		c.failf("the owner changed without a fault: %s", open[0])
	case len(open) > 0 && open[0].name != w.store.lease.Holder:
		c.failf("%s speaks, but the Lease names %q", open[0], w.store.lease.Holder)
	case w.store.writes != c.writes:
		c.failf("the Lease was written without a fault")
	}
}

// eligible tells whether somebody is there who may speak.
func (w *world) eligible() bool {
	a := w.policy.last()
	for _, n := range w.nodes {
		for _, name := range a.candidates {
			if n.name == name && !a.excluded[name] && n.incarnation != 0 {
				return true
			}
		}
	}
	return false
}
