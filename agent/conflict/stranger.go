// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"bytes"
	"slices"
)

// stranger is somebody who was heard to use an address.
type stranger struct {
	card   MAC
	node   string
	reason Reason
	since  Time
	last   Time // when it was heard last
	asked  int  // questions since
}

// goneWhen is how many questions a stranger leaves unanswered before it is gone.
const goneWhen = int(GoneAfter / AskEvery)

// note takes a foreign frame about a place.
func (s *Set) note(p *place, h Sound) {
	switch {
	case h.Node != "" && slices.Contains(p.Kernels, h.Node):
		return
	case h.Node != "" && h.Kind == Probed:
		return // a peer's, whose mark was lost on the way
	}
	if h.Kind == Claimed && p.Role == Speak && p.Defend {
		p.owed = true
		s.defend(p)
	}
	i := slices.IndexFunc(p.strangers, func(t stranger) bool { return t.card == h.Card })
	if i < 0 {
		if len(p.strangers) >= MaxStrangers || s.strangers >= MaxStrangersAll {
			return
		}
		p.strangers = append(p.strangers, stranger{card: h.Card, since: s.now})
		s.strangers++
		i = len(p.strangers) - 1
		if p.Role == Speak { // whether it stays is found out by asking
			next := s.now + s.random.between(AskEvery*2/3, AskEvery)
			if h.Node != "" {
				next = s.now + nodeWait
			}
			p.askAt, p.patrolled = min(p.askAt, next), false
		}
	}
	t := &p.strangers[i]
	t.last, t.asked = s.now, 0
	switch {
	case h.Node != "":
		t.node = h.Node
		if s.now-t.since >= nodeWait {
			t.reason = OtherAnnouncer
		}
	case t.reason == 0:
		s.suspect(p, t)
	}
	s.blocked(p, t.reason)
}

// defend answers foreign claims, at once or when the interval is over: the last one who spoke is
// whom the caches believe.
func (s *Set) defend(p *place) {
	if !p.owed || s.now < p.defendAt {
		return
	}
	p.owed, p.defendAt = false, s.now+DefendInterval
	s.tell(Defend{Interface: p.Interface, Addr: p.Addr})
}

// judge notes what a stranger is.
func (s *Set) judge(p *place, t *stranger, r Reason) {
	t.reason = r
	s.blocked(p, r)
}

// judgeNodes notes that the cards of nodes are other announcers', once the agents there had time
// to say that it is the kernel.
func (s *Set) judgeNodes(p *place) {
	for i := range p.strangers {
		if t := &p.strangers[i]; t.reason == 0 && t.node != "" && s.now-t.since >= nodeWait {
			s.judge(p, t, OtherAnnouncer)
		}
	}
}

// drop forgets some strangers of a place.
func (s *Set) drop(p *place, which func(stranger) bool) {
	s.strangers -= len(p.strangers)
	p.strangers = slices.DeleteFunc(p.strangers, which)
	s.strangers += len(p.strangers)
}

// findings are the strangers of which it is known what they are, in the order of their cards.
func (p *place) findings() []Finding {
	var fs []Finding
	for _, t := range p.strangers {
		if t.reason != 0 {
			fs = append(fs, Finding{Card: t.card, Node: t.node, Reason: t.reason})
		}
	}
	slices.SortFunc(fs, func(a, b Finding) int { return bytes.Compare(a.Card[:], b.Card[:]) })
	return fs
}

// patrol asks for an address this node speaks for: often enough while there is a stranger to know
// when it is gone, seldom otherwise.
func (s *Set) patrol(p *place) {
	s.defend(p)
	s.drop(p, func(t stranger) bool { return t.asked >= goneWhen && s.now-t.last >= GoneAfter })
	if s.now < p.askAt {
		return
	}
	s.judgeNodes(p)
	if len(p.strangers) == 0 && !p.patrolled {
		at := max(s.now, s.patrolFree)
		s.patrolFree = at + PatrolGap
		p.patrolled = true
		if at > s.now {
			p.askAt = at
			return
		}
	}
	if !s.turn(p, 1) {
		return
	}
	p.patrolled = false
	s.tell(Ask{Interface: p.Interface, Addr: p.Addr})
	for i := range p.strangers {
		p.strangers[i].asked++
	}
	p.askAt = s.now + s.random.between(PatrolEvery, PatrolEvery*3/2)
	if len(p.strangers) > 0 {
		p.askAt = s.now + s.random.between(AskEvery*2/3, AskEvery)
	}
}
