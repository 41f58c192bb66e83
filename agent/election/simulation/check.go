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

	world   *world
	err     error
	wants   []Want
	byLease [][]*address
	spots   []*spot // by address

	quiet   time.Duration // when the last fault has ended
	bound   time.Duration // to speak again after it
	settled bool
	writes  int
	takes   [][]time.Duration // by Lease: takeovers by the wire
}

// spot is an address as its segment's client hears it.
type spot struct {
	*address

	at      int     // its place in the Lease
	heard   []*host // whose gate is open for the client
	speaker *host   // the only one, or the last one; nil: none yet
	since   time.Duration
	dark    time.Duration // since when nobody is heard; -1: somebody is
	could   time.Duration // since when somebody could speak; -1: nobody can
	moves   int
	both    []overlap
	owner   *host // once settled
}

func (c *checker) begin(w *world, s Script) {
	c.world, c.wants = w, s.Wants
	for _, f := range s.Faults {
		c.quiet = max(c.quiet, f.At+f.For)
	}
	c.quiet += 100 * time.Millisecond
	e := election.Defaults("")
	c.bound = e.LeaseDuration + 3*e.BeatEvery + 2*time.Second
	if w.Nodes > 3 { // the first two standbys may be those that died
		c.bound += 2 * e.IdleReadEvery
	}
}

func (c *checker) places(w *world) {
	c.byLease = make([][]*address, len(w.Leases))
	c.takes = make([][]time.Duration, len(w.Leases))
	for _, a := range w.addresses {
		c.spots = append(c.spots, &spot{address: a, at: len(c.byLease[a.lease]), dark: -1, could: -1})
		c.byLease[a.lease] = append(c.byLease[a.lease], a)
	}
}

func (c *checker) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
		c.world.logf("VIOLATION %v", c.err)
	}
}

// after checks the state between two events.
func (c *checker) after(w *world) {
	for _, s := range c.spots {
		s.listen(w)
		c.voices(w, s)
		c.silence(w, s)
	}
	if w.now >= c.quiet {
		c.calm(w)
	}
}

// listen finds whom the client hears.
func (s *spot) listen(w *world) {
	seg := w.segments[s.place.Segment]
	s.heard = s.heard[:0]
	for _, h := range w.hosts {
		p := h.proc
		if p == nil || !p.begun {
			continue
		}
		if r := p.reigns[s.lease]; r.speaks && p.open(r, s.at) && h.reaches(seg) {
			s.heard = append(s.heard, h)
		}
	}
}

// reaches tells whether the client's question and this node's answer get through.
func (h *host) reaches(s *segment) bool {
	return s.way(s.client(), h.index, true) && s.way(h.index, s.client(), false) && h.mute[s.index] == 0 && s.powered(h.index)
}

// silence measures the time without a voice.
func (c *checker) silence(w *world, s *spot) {
	switch {
	case len(s.heard) > 0:
		if s.dark >= 0 {
			s.dark, s.since = -1, w.now
		}
		if h := s.heard[0]; len(s.heard) == 1 && s.speaker != h {
			if s.speaker != nil {
				s.moves++
			}
			s.speaker, s.since = h, w.now
			if s.index == 0 {
				c.Speaker = h.name
			}
		}
		return
	case s.speaker == nil:
		return
	case s.dark < 0:
		s.dark = w.now
	}
	if w.now > s.dark {
		c.Dark = max(c.Dark, w.now-s.dark)
	}
}

// able tells whether a node could speak for an address and be heard by the client.
func (w *world) able(h *host, s *spot) bool {
	p := h.proc
	if !h.on || p == nil || !p.begun || p.still() || p.hung > 0 || p.leaving || !h.reaches(w.segments[s.place.Segment]) {
		return false
	}
	a := w.manager.now[s.lease]
	if a.gone || a.excluded[h.name] != "" {
		return false
	}
	for _, o := range w.check.byLease[s.lease] {
		if h.down[o.place.Segment] > 0 {
			return false
		}
	}
	for _, n := range a.candidates {
		if n == h.name {
			return true
		}
	}
	return false
}

// calm checks that every VIP is spoken for within the bound after the last fault, and that
// nothing changes from then on.
func (c *checker) calm(w *world) {
	if w.now < c.quiet+c.bound {
		if c.Settle == 0 && !c.dark() {
			c.Settle = w.now - c.quiet
		}
		return
	}
	if !c.settled {
		c.settled, c.writes = true, w.store.writes
		for _, s := range c.spots {
			if len(s.heard) > 0 {
				s.owner = s.heard[0]
			}
		}
	}
	for _, s := range c.spots {
		switch {
		case len(s.heard) == 0:
			for _, h := range w.hosts {
				if w.able(h, s) {
					c.failf("silence: nobody speaks for %s %s after the last fault", s.addr, w.now-c.quiet)
				}
			}
		case s.owner != s.heard[0]:
			c.failf("calm: the owner of %s changed to %s without a fault", s.addr, s.heard[0].name)
		case s.heard[0].name != w.store.leases[s.lease].Holder:
			c.failf("status: %s speaks for %s, but the Lease names %q", s.heard[0].name, s.addr, w.store.leases[s.lease].Holder)
		}
	}
	if w.store.writes != c.writes {
		c.failf("calm: a Lease was written without a fault")
	}
}

func (c *checker) dark() bool {
	for _, s := range c.spots {
		if len(s.heard) == 0 {
			return true
		}
	}
	return false
}

// content tells whether nothing is left to wait for.
func (c *checker) content(now time.Duration) bool {
	if now < c.quiet+14*time.Second+tail || c.dark() {
		return false
	}
	for _, s := range c.spots {
		if s.heard[0].name != c.world.store.leases[s.lease].Holder {
			return false
		}
	}
	return true
}

// asks counts the detector's questions.
func (c *checker) asks(p *proc) {
	second := int64(c.world.now / time.Second)
	if p.second != second {
		p.second, p.asks = second, 0
	}
	p.asks++
	c.Asks = max(c.Asks, p.asks)
}

// result closes the books.
func (c *checker) result(w *world) Result {
	for l := range w.Leases {
		moves := 0
		for _, s := range c.spots {
			if s.lease == l {
				moves = max(moves, s.moves)
			}
		}
		c.Moves = max(c.Moves, moves)
	}
	c.Writes = w.store.writes
	for _, want := range c.wants {
		if c.err == nil {
			c.err = want.holds(&c.Result)
		}
	}
	r := c.Result
	if c.err != nil {
		r.Err = fmt.Errorf("%w (at %s)", c.err, w.now)
	}
	r.Trace = w.trace()
	return r
}
