// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// host is a node's machine: its kernel, its cards and its clock, whatever its agents do.
type host struct {
	world *world
	index int
	name  string

	on       bool // it has power
	stunned  bool // its hypervisor has stopped it, clock and all
	ring     []func()
	ringless bool           // what comes meanwhile is lost
	cards    []detector.MAC // by segment
	version  int            // of the cards
	down     []int          // by segment, > 0: no carrier
	mute     []int          // by segment, > 0: a port filter takes what names a VIP
	forward  time.Duration  // when its kube-proxy is ready
	unready  int            // > 0: it is not

	cut     int // > 0: requests to the API vanish
	refused int // > 0: they are refused
	hung    int // > 0: they may take very long
	lost    int // > 0: answers do not come back

	offset  time.Duration // of the boot clock
	rate    float64       // of the boot clock
	missing time.Duration // pauses that it did not count

	proc      *proc // that speaks
	next      *proc // of an upgrade, waits for the other's end
	processes int
	disk      []remembered  // by Lease
	woken     time.Duration // when its hypervisor let it go on
	rough     time.Duration // when it was last stopped, or its wire touched
	cutUntil  time.Duration // when it last had no API
}

// remembered is what an agent kept on disk.
type remembered struct {
	policy *announcement
	lease  election.Lease
}

func newHost(w *world, index int) *host {
	h := &host{
		world: w, index: index, name: names(index), on: true,
		offset: w.between(0, 1000*time.Hour), rate: (2*w.rng.Float64() - 1) * float64(w.Drift) / 1000,
		down: make([]int, w.Segments), mute: make([]int, w.Segments), disk: make([]remembered, len(w.Leases)),
	}
	for s := range w.segments {
		h.cards = append(h.cards, macOf(index, s, 0))
	}
	return h
}

// clock is the boot clock.
func (h *host) clock() election.Time {
	t := h.world.now - h.missing
	return h.offset + t + time.Duration(float64(t)*h.rate)
}

// until is how long it takes, undisturbed, until the boot clock shows t.
func (h *host) until(t election.Time) time.Duration {
	return time.Duration(float64(max(0, t-h.clock()))/(1+h.rate)) + time.Microsecond
}

func (h *host) api() bool { return h.cut == 0 && h.refused == 0 && h.world.store.away() == 0 }

func (h *host) ready() bool { return h.unready == 0 && h.world.now >= h.forward }

// start starts the agent.
func (h *host) start() {
	if !h.on || h.proc != nil {
		return
	}
	h.proc = newProc(h)
	h.world.logf("%s: starts", h.name)
	h.proc.begin(nil)
}

// boot gives the machine power.
func (h *host) boot() {
	if h.on {
		return
	}
	w := h.world
	w.logf("%s: boots", h.name)
	h.on, h.stunned, h.offset = true, false, w.between(0, time.Hour)-w.now
	if w.Forward > 0 {
		h.forward = w.now + w.Forward
		w.after(w.Forward, h.changed)
	}
	h.start()
}

// crash takes the power.
func (h *host) crash() {
	if !h.on {
		return
	}
	h.world.logf("%s: crashes", h.name)
	h.on, h.ring = false, nil
	h.endAll()
}

// kill ends the agent; a successor takes the lock at once.
func (h *host) kill(why string) {
	p := h.proc
	if p == nil {
		return
	}
	h.world.logf("%s: %s", h.name, why)
	p.dead, h.proc = true, nil
	if n := h.next; n != nil {
		h.next = nil
		n.plan(h.world.between(0, 20*time.Millisecond), func() {
			if h.proc == nil {
				h.proc = n
				n.begin(nil)
			}
		})
	}
}

func (h *host) endAll() {
	for _, p := range []*proc{h.proc, h.next} {
		if p != nil {
			p.dead = true
		}
	}
	h.proc, h.next = nil, nil
}

// changed tells the agent that something about the machine is not as it was.
func (h *host) changed() {
	if p := h.proc; p != nil {
		p.loop(func() { p.policiesAgain() })
	}
}

// hear takes a frame from the wire.
func (h *host) hear(s *segment, f frame) {
	if h.stunned {
		if len(h.ring) < 64 && !h.ringless { // a ring of the hypervisor's keeps what comes
			h.ring = append(h.ring, func() { f.at = h.world.now; h.hear(s, f) })
		}
		return
	}
	if !h.on || h.down[s.index] > 0 {
		return
	}
	if f.kind == probe {
		if f.of == h.index { // the kernel's affair
			s.reply(f, h.index, h.cards[s.index])
		}
		return
	}
	if p := h.proc; p != nil {
		p.arrive(s, f)
	}
}

// stun stops the machine with its clock.
func (h *host) stun(lasts time.Duration) {
	if !h.on || h.stunned {
		return
	}
	w := h.world
	w.logf("%s: its hypervisor stops it for %s", h.name, lasts)
	h.stunned, h.ringless = true, w.chance(0.5)
	w.after(lasts, func() {
		if !h.stunned {
			return
		}
		w.logf("%s: goes on, and knows nothing of it", h.name)
		h.stunned, h.rough, h.woken = false, w.now, w.now
		h.missing += lasts
		ring := h.ring
		h.ring = nil
		for _, do := range ring {
			w.after(0, do)
		}
		for _, p := range []*proc{h.proc, h.next} {
			if p != nil {
				p.leases.again(w.between(0, 10*time.Second))
				p.policies.again(w.between(0, 10*time.Second))
				p.unpark()
			}
		}
	})
}
