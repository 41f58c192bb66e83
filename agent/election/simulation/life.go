// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// will is what a process leaves to its successor.
type will struct {
	heart  election.Heart
	voices []election.Inherited
}

// begin begins with what the watches have brought so far, and with what was inherited.
func (p *proc) begin(w *will) {
	p.begun = true
	p.witnesses()
	if w != nil {
		p.heart = w.heart
	}
	for i, r := range p.reigns {
		if w != nil && w.heart != (election.Heart{}) {
			p.step(r, election.Pulse{Heart: w.heart})
		}
		p.stepPolicy(r)
		if r.seen.UID != "" {
			p.step(r, election.LeaseSeen{Lease: r.seen})
		}
		if w != nil && w.voices[i].Standing != 0 && p.world.Flaw != NoInheritance {
			p.step(r, w.voices[i])
		}
	}
	p.plan(p.world.between(0, 300*time.Millisecond), p.beats)
	p.plan(recallTime, func() { p.loop(p.recall) })
}

// recall takes from disk what the API server does not tell.
func (p *proc) recall() {
	if p.leases.open != 0 || p.policies.open != 0 || p.world.Flaw == NoRecall {
		return
	}
	for i, r := range p.reigns {
		if d := p.host.disk[i]; d.policy != nil && r.policy == nil {
			r.policy = d.policy
			p.stepPolicy(r)
			p.step(r, election.Recalled{Lease: d.lease})
		}
	}
}

// leave is SIGTERM: with a successor that waits, the voices go to it; else to other nodes.
func (p *proc) leave(grace time.Duration) {
	p.loop(func() {
		if p.leaving {
			return
		}
		p.world.logf("%s: SIGTERM", p.host.name)
		if n := p.host.next; n != nil && !n.still() {
			p.bequeath(n)
			return
		}
		p.leaving = true
		p.plan(grace, func() { p.loop(func() { p.gone("killed") }) })
		p.beat(func(bool) {
			for _, r := range p.reigns {
				p.step(r, election.Leave{})
			}
		})
	})
}

// left ends the process once nothing of it speaks.
func (p *proc) left() {
	for _, r := range p.reigns {
		if r.speaks || r.phase != election.Idle {
			return
		}
	}
	p.gone("leaves")
}

func (p *proc) gone(why string) {
	if !p.dead && p.host.proc == p {
		p.host.kill(why)
	}
}

// bequeath ends the process in favour of its successor on the same machine.
func (p *proc) bequeath(n *proc) {
	w := &will{heart: p.heart}
	for _, r := range p.reigns {
		w.voices = append(w.voices, election.Inherited{Lease: r.voice, Standing: r.standing})
	}
	h := p.host
	h.world.logf("%s: its successor takes over", h.name)
	p.dead, h.proc, h.next = true, nil, nil
	n.plan(h.world.between(100*time.Microsecond, 5*time.Millisecond), func() {
		if h.proc == nil && !n.dead && h.on {
			h.proc = n
			n.begin(w)
		}
	})
}

// upgrade starts a successor, and ends the old process once that is ready.
func (h *host) upgrade() {
	if !h.on || h.proc == nil || h.next != nil {
		return
	}
	h.next = newProc(h)
	h.world.logf("%s: a successor starts", h.name)
	h.awaitReady(h.next)
}

func (h *host) awaitReady(n *proc) {
	h.world.after(300*time.Millisecond, func() {
		switch {
		case n.dead || h.next != n:
		case n.leases.open == 0 || n.policies.open == 0 || n.still():
			h.awaitReady(n)
		case h.proc == nil:
		default:
			h.proc.leave(10 * time.Second)
		}
	})
}
