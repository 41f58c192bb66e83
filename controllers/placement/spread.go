// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"
	"time"
)

// aside is how long a node that has just lost a Service stands behind the others as its
// standby: it may be dead, and its heartbeat not yet overdue.
const aside = time.Minute

// Spread remembers how Services are spread over nodes: for each the candidates it was
// given last. It is not safe for concurrent use. A Service with two addresses counts once,
// as they move together.
type Spread struct {
	seats   map[string]seat // by the key of the Service
	load    map[string]int
	standby map[Pair]int
}

// seat is what is remembered of one Service.
type seat struct {
	candidates []string
	pair       Pair // of which First has the Service, or will have it
	owner      string
	left       string        // the owner before
	leftAt     time.Duration // when that was noticed
}

// NewSpread knows of no Service.
func NewSpread() *Spread {
	return &Spread{seats: map[string]seat{}, load: map[string]int{}, standby: map[Pair]int{}}
}

// Rank answers the question by what is remembered; Note makes the answer remembered. What
// the question says of Before counts only for a Service that is not known yet. now is the
// time on any clock that goes steadily.
func (s *Spread) Rank(q Question, now time.Duration) Ranking {
	was, known := s.seats[q.Key]
	if known {
		q.Before = was.candidates
	}
	if moved := was.moved(q.Owner, now); moved.left != q.Owner && now-moved.leftAt < aside {
		q.Left = moved.left
	}
	s.count(was.pair, -1)
	defer s.count(was.pair, 1)
	q.Load, q.Standby = s.load, s.standby
	return Rank(q)
}

// Note remembers the candidates of a Service and its owner; empty: nobody owns it.
func (s *Spread) Note(key, owner string, candidates []string, now time.Duration) {
	was := s.seats[key]
	is := was.moved(owner, now)
	is.candidates = candidates
	order := append([]string{owner}, candidates...)
	if at := slices.Index(candidates, owner); at < 0 && len(candidates) > 0 {
		order = candidates // the owner is to go
	} else if at > 0 {
		order = append([]string{owner}, slices.Delete(slices.Clone(candidates), at, at+1)...)
		if was.owner == "" { // it came to own the Service while nobody looked
			is.left, is.leftAt = candidates[0], now
		}
	} else if at == 0 {
		order = candidates
	}
	is.pair = Pair{First: order[0]}
	if len(order) > 1 {
		is.pair.Next = order[1]
	}
	s.count(was.pair, -1)
	s.count(is.pair, 1)
	s.seats[key] = is
}

// Forget forgets a Service that is gone.
func (s *Spread) Forget(key string) {
	s.count(s.seats[key].pair, -1)
	delete(s.seats, key)
}

// Owned gives the Services that each node owns, by their keys.
func (s *Spread) Owned() map[string][]string {
	owned := map[string][]string{}
	for key, t := range s.seats {
		if t.owner != "" {
			owned[t.owner] = append(owned[t.owner], key)
		}
	}
	return owned
}

// moved is the seat with the owner as it is now.
func (t seat) moved(owner string, now time.Duration) seat {
	if t.owner != "" && owner != "" && owner != t.owner {
		t.left, t.leftAt = t.owner, now
	}
	if owner != "" {
		t.owner = owner
	}
	return t
}

// count adds to what a pair stands for.
func (s *Spread) count(p Pair, n int) {
	if p.First == "" {
		return
	}
	if s.load[p.First] += n; s.load[p.First] == 0 {
		delete(s.load, p.First)
	}
	if p.Next == "" {
		return
	}
	if s.standby[p] += n; s.standby[p] == 0 {
		delete(s.standby, p)
	}
}
