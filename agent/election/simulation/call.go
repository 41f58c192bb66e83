// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// call is a request: the answer may be lost although the server did it, and the server may
// do it although the time-out has passed. What comes of it is an input of the loop.
func (p *proc) call(timeout time.Duration, serve func(), done func(ok bool)) {
	w, h, over := p.world, p.host, false
	finish := func(ok bool) {
		if !over {
			over = true
			p.loop(func() { done(ok) })
		}
	}
	if h.refused > 0 || w.store.refused > 0 {
		p.plan(time.Millisecond, func() { finish(false) })
		return
	}
	p.plan(timeout, func() { finish(false) })
	if !h.api() {
		return
	}
	way := func() time.Duration {
		if h.hung > 0 && w.chance(0.3) {
			return w.between(0, 6*time.Second)
		}
		if w.store.slow > 0 {
			return w.between(0, 1500*time.Millisecond)
		}
		return w.between(time.Millisecond, max(w.Latency, 2*time.Millisecond))
	}
	w.after(way(), func() {
		if !h.api() {
			return
		}
		serve()
		w.after(way(), func() {
			if h.api() && h.lost == 0 {
				p.plan(0, func() { finish(true) })
			}
		})
	})
}

// beats writes a heartbeat every interval, in a thread of its own.
func (p *proc) beats() {
	p.beat(func(bool) {})
	p.plan(p.host.until(p.clock()+p.config.BeatEvery), p.beats)
}

func (p *proc) beat(done func(ok bool)) {
	p.beaten++
	b := beat{
		node: p.host.index, incarnation: p.incarnation, number: p.beaten,
		leaving: p.leaving && p.world.Flaw != LeavingUnsaid,
	}
	p.sent[b.number] = p.clock()
	p.call(beatTime, func() { p.world.store.beat(b) }, done)
}

// echo takes a heartbeat that came back on the watch.
func (p *proc) echo(b beat) {
	sent, ok := p.sent[b.number]
	if b.incarnation != p.incarnation || !ok {
		return
	}
	delete(p.sent, b.number)
	p.heart = p.heart.Echoed(sent, p.config.BeatEvery)
	for _, r := range p.reigns {
		p.step(r, election.Pulse{Heart: p.heart})
	}
}

// poll is a heartbeat that is read on suspicion, for all elections of the process.
type poll struct {
	node    string
	due     election.Time
	reading bool
	timer   election.Time // when the next look is planned; 0: none is
}

// pollAll reads the heartbeats that the machines want to be read.
func (p *proc) pollAll() {
	if p.world.Flaw == NoFollows {
		return
	}
	now := p.clock()
	for _, r := range p.reigns {
		if r.phase == election.Idle || r.phase == election.Speaking {
			continue
		}
		for _, f := range r.state.Follows() {
			q := p.pollOf(f.Node, now)
			q.due = min(q.due, now+f.Every)
			if q.due <= now && !q.reading {
				p.read(q)
			} else {
				p.look(q)
			}
		}
	}
}

func (p *proc) pollOf(node string, now election.Time) *poll {
	for _, q := range p.polls {
		if q.node == node {
			return q
		}
	}
	q := &poll{node: node, due: now}
	p.polls = append(p.polls, q)
	return q
}

// wanted tells at which interval a heartbeat is to be read; ok is false: not at all.
func (p *proc) wanted(node string) (every time.Duration, ok bool) {
	every = time.Hour
	for _, r := range p.reigns {
		for _, f := range r.state.Follows() {
			if f.Node == node {
				every, ok = min(every, f.Every), true
			}
		}
	}
	return max(every, p.config.AskEvery), ok
}

// look plans the next look at a poll.
func (p *proc) look(q *poll) {
	if q.reading || q.timer != 0 && q.timer <= q.due {
		return
	}
	due := q.due
	q.timer = due
	p.at(due, func() {
		if q.timer != due {
			return
		}
		q.timer = 0
		if q.reading {
			return
		}
		if _, ok := p.wanted(q.node); ok && q.due <= p.clock() {
			p.read(q)
		}
	})
}

func (p *proc) read(q *poll) {
	every, ok := p.wanted(q.node)
	if !ok {
		return
	}
	now := p.clock()
	q.reading, q.due = true, now+every
	var b beat
	h := p.world.hostOf(q.node)
	p.call(beatTime, func() { b = p.world.store.read(h.index) }, func(ok bool) {
		q.reading = false
		p.look(q)
		if !ok {
			return
		}
		seen := ""
		if b.version != 0 {
			seen = fmt.Sprint(b.version)
		}
		ev := election.PeerBeat{Node: q.node, Asked: now, Came: p.clock(), Seen: seen, Leaving: b.leaving}
		for _, r := range p.reigns {
			p.step(r, ev)
		}
	})
}

func (w *world) hostOf(node string) *host {
	for _, h := range w.hosts {
		if h.name == node {
			return h
		}
	}
	panic("no node " + node)
}
