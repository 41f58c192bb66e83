// SPDX-License-Identifier: Apache-2.0

package sight

import (
	"fmt"
	"time"
)

const (
	// atOnce is how close together changes for the worse are one.
	atOnce = 10 * time.Second
	// patience is how long nothing is written when the view is not believed.
	patience = time.Minute
	// steady is how long no more than half must be missing before the rest is believed to be
	// gone: what comes back into view comes one by one.
	steady = 5 * time.Second
	// fewest is how many must change for the worse before that is a reason for doubt: in a
	// cluster of two or three nodes, the loss of one is none.
	fewest = 2
)

// Sight remembers what was seen. It is not safe for concurrent use; times are on one steady
// clock.
type Sight struct {
	nodes, announcements crowd

	blind        bool
	since, until time.Duration // those that turned since then are missing; blind until then
	better       time.Duration // since when no more than half are missing
	why          string
}

// New has seen nothing yet.
func New() *Sight {
	return &Sight{nodes: newCrowd(), announcements: newCrowd()}
}

// Nodes tells of all nodes that are seen whether they are well; a node that is not seen any
// more is not.
func (s *Sight) Nodes(now time.Duration, well map[string]bool) {
	for n, w := range well {
		s.nodes.see(now, n, w)
	}
	for n := range s.nodes.well {
		if _, seen := well[n]; !seen {
			s.nodes.see(now, n, false)
		}
	}
	s.nodes.tidy(now, func(n string) bool { _, seen := well[n]; return seen })
}

// Announcement tells whether an announcement would now change for the worse, and gives for
// how long that has been so.
func (s *Sight) Announcement(now time.Duration, key string, worse bool) time.Duration {
	s.announcements.see(now, key, !worse)
	if at, ok := s.announcements.turned[key]; ok {
		return now - at
	}
	return atOnce
}

// Forget forgets an announcement that is gone because its Service is.
func (s *Sight) Forget(key string) { s.announcements.forget(key) }

// Verdict is a judgment.
type Verdict struct {
	// Blind: nothing is to be written, because of Why, for so long, unless all is there
	// again sooner.
	Blind bool
	For   time.Duration
	Why   string
	// Changed: the judgment was another one the last time. Restored: blindness ended
	// because there is no reason for it any more, and not because its time is over.
	Changed, Restored bool
}

// Judge judges by what has been seen.
func (s *Sight) Judge(now time.Duration) Verdict {
	was := s.blind
	restored := false
	if s.blind {
		restored = s.restored(now)
		s.blind = !restored && now < s.until
		if !s.blind && !restored {
			// The time is over: what is missing is gone. It is no reason for doubt again.
			s.nodes.accept()
			s.announcements.accept()
		}
	}
	if !s.blind && !was {
		if lost, of := s.nodes.lost(now); doubtful(lost, of) {
			s.why = fmt.Sprintf("%d of %d nodes were lost from view within %v", lost, of, atOnce)
			s.blind = true
		} else if lost, of := s.announcements.lost(now); doubtful(lost, of) {
			s.why = fmt.Sprintf("%d of %d announcements would lose most of their candidates within %v", lost, of, atOnce)
			s.blind = true
		}
		if s.blind {
			s.since, s.until, s.better = now-atOnce, now+patience, now
		}
	}
	v := Verdict{Blind: s.blind, Changed: s.blind != was, Restored: restored, Why: s.why}
	if s.blind {
		v.For = s.until - now
	}
	return v
}

// restored tells whether all that were lost are there again, or steadily no more than
// half are missing.
func (s *Sight) restored(now time.Duration) bool {
	nodes, ofNodes := s.nodes.missing(s.since)
	announcements, ofAnnouncements := s.announcements.missing(s.since)
	if doubtful(nodes, ofNodes) || doubtful(announcements, ofAnnouncements) {
		s.better = now
	}
	return nodes+announcements == 0 || now-s.better >= steady
}

// doubtful: more than half, and not just one.
func doubtful(lost, of int) bool { return lost >= fewest && 2*lost > of }
