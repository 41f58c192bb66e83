// SPDX-License-Identifier: Apache-2.0

package mld

import "container/heap"

// Wake is when Tick is due next. It may be in the past.
func (l *Listener) Wake() Time {
	if !l.card.ready() {
		return Never
	}
	wake := l.again
	if len(l.timers) > 0 {
		wake = min(wake, l.timers[0].at)
	}
	if len(l.changes) > 0 {
		wake = min(wake, l.next)
	}
	if len(l.answers) > 0 {
		return min(wake, l.answersAt())
	}
	return min(wake, l.general)
}

// answersAt is when the pace allows an answer.
func (l *Listener) answersAt() Time {
	if l.Version() == 1 {
		return max(l.next, l.calm)
	}
	return l.next
}

// Tick does what is due.
func (l *Listener) Tick(now Time) {
	l.expire(now)
	if !l.card.ready() {
		return
	}
	if now >= l.again {
		l.repeat()
	}
	for len(l.timers) > 0 && l.timers[0].at <= now {
		g := l.timers[0]
		heap.Pop(&l.timers)
		g.at = Never
		l.wait(g)
	}
	l.flush(now)
	// All again before the last of them was sent would be no end of it.
	if now >= l.general && len(l.answers) == 0 {
		l.answerAll(now)
		l.flush(now)
	}
}

// repeat queues the changes that are to be sent again.
func (l *Listener) repeat() {
	for _, g := range l.rest {
		if g.change == resting {
			g.change = queued
			l.changes = append(l.changes, g)
		}
	}
	l.rest, l.again = nil, Never
}

// wait has a group wait to be sent as an answer.
func (l *Listener) wait(g *group) {
	if !g.answer {
		g.answer = true
		l.answers = append(l.answers, g)
	}
}

func (l *Listener) answerAll(now Time) {
	l.general = Never
	for _, g := range l.members {
		l.wait(g)
	}
	if l.Version() == 1 && len(l.answers) > 0 {
		l.random.shuffle(l.answers)
		l.calm, l.spread = now, l.window/Time(len(l.answers))
	}
}

// flush sends what the pace allows, changes first.
func (l *Listener) flush(now Time) {
	gap := gap2
	if l.Version() == 1 {
		gap = gap1
	}
	sent := func() { l.next = max(l.next, now-catchUp*gap) + gap }
	for now >= l.next {
		if frame := l.packChanges(now); frame != nil {
			l.frames = append(l.frames, frame)
			sent()
			continue
		}
		if now < l.answersAt() {
			return
		}
		frame := l.packAnswers()
		if frame == nil {
			return
		}
		l.frames = append(l.frames, frame)
		if l.Version() == 1 {
			l.calm += l.spread
		}
		sent()
	}
}

// most is how many records go into a frame.
func (l *Listener) most() int {
	if l.Version() == 1 {
		return 1
	}
	return l.card.records()
}

func (l *Listener) encode(records []record) []byte {
	switch {
	case len(records) == 0:
		return nil
	case l.Version() == 1:
		return l.card.report1(records[0].group, records[0].kind != changeToInclude)
	}
	return l.card.report2(records)
}

// packChanges makes the next frame of changes; nil: there is none.
func (l *Listener) packChanges(now Time) []byte {
	var records []record
	for most := l.most(); len(l.changes) > 0 && len(records) < most; {
		g := l.changes[0]
		l.changes = l.changes[1:]
		if g.change != queued {
			continue
		}
		r := record{changeToExclude, g.addr}
		if !g.member {
			r.kind = changeToInclude
		}
		records = append(records, r)
		l.changed(now, g)
	}
	return l.encode(records)
}

// changed takes note that the change of a group was sent. A Done is sent once (RFC 2710 section 4).
func (l *Listener) changed(now Time, g *group) {
	g.told, g.change = true, nowhere
	if g.left--; l.Version() == 1 && !g.member {
		g.left = 0
	}
	switch {
	case g.left > 0:
		g.change = resting
		l.rest = append(l.rest, g)
		if l.again == Never {
			interval := UnsolicitedReportInterval
			if l.Version() == 1 {
				interval = UnsolicitedReportInterval1
			}
			l.again = now + l.random.below(interval)
		}
	case !g.member:
		l.forget(g)
	}
}

// packAnswers makes the next frame of answers; nil: there is none.
func (l *Listener) packAnswers() []byte {
	var records []record
	for most := l.most(); len(l.answers) > 0 && len(records) < most; {
		g := l.answers[0]
		l.answers = l.answers[1:]
		g.answer = false
		if g.member {
			g.told = true
			records = append(records, record{modeIsExclude, g.addr})
		}
	}
	return l.encode(records)
}
