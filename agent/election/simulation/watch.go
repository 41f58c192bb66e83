// SPDX-License-Identifier: Apache-2.0

package simulation

import "time"

// stream is a node's watch of one history: in order, late, and silent while it is broken.
type stream struct {
	node   *node
	length func() int
	show   func(i int) // hands on the i-th change
	list   func()      // hands on what stands now
	next   int         // the change that comes next
	at     time.Duration
	open   int  // numbers the connections; 0: none yet
	broken int  // > 0: nothing comes through
	missed bool // a change was lost: the connection is dead
	dialed bool
}

// plan delivers a change some time later.
func (s *stream) plan(i int) {
	if s.open == 0 || s.lost() {
		return
	}
	w, conn := s.node.world, s.open
	s.at = max(s.at, w.now+w.between(time.Millisecond, w.lag))
	s.node.after(s.at-w.now, func() {
		if s.open != conn || s.lost() {
			return
		}
		s.next = i + 1
		s.show(i)
	})
}

// lost tells whether a change does not come through; then none does until a new dial.
func (s *stream) lost() bool {
	s.missed = s.missed || s.broken > 0 || s.node.cut()
	return s.missed
}

// dial begins anew until the API can be reached: from where the watch ended, or by a list.
func (s *stream) dial() {
	if s.dialed {
		return
	}
	s.dialed = true
	w := s.node.world
	s.node.after(w.between(10*time.Millisecond, time.Second), func() {
		s.dialed = false
		if s.broken > 0 || s.node.cut() {
			s.dial()
			return
		}
		first := s.open == 0
		s.open, s.missed = w.number(), false
		if !first && w.chance(0.5) {
			for i := s.next; i < s.length(); i++ {
				s.plan(i)
			}
			return
		}
		s.next = s.length()
		s.list()
	})
}

func (w *world) number() int {
	w.seq++
	return w.seq
}
