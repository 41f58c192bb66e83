// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// proc is an agent's process. It drives the machines as the agent's loop does: one
// detector, and one election for each Lease. Threads of it are stopped by a pause; its
// loop alone by a hang.
type proc struct {
	host   *host
	world  *world
	config election.Config

	incarnation int
	born        time.Duration
	dead        bool
	paused      int
	hung        int
	tick        election.Time // when the loop last showed that it lives, while it stands still
	parked      []func()      // what threads do when the pause ends
	inputs      []func()      // what the loop does when it goes on

	begun    bool
	det      *detector.Detector
	detTimer election.Time
	draining bool
	reigns   []*reign
	heart    election.Heart
	sent     map[int]election.Time
	beaten   int
	leaving  bool
	polls    []*poll
	leases   *stream
	policies *stream
	asks     int // questions in this second
	second   int64
}

// reign is one Lease in one process.
type reign struct {
	proc   *proc
	lease  int
	seen   election.Lease // as the watch brought it
	policy *announcement  // as the watch brought it; nil: not yet
	state  election.State
	wake   election.Time
	asked  int

	// What a State says, kept because it is asked for after every event.
	phase    election.Phase
	voice    election.Lease
	speaks   bool
	muted    bool
	resumed  time.Duration // when it last was muted no more
	standing election.Standing
	echo     bool // it needs heartbeats
	until    election.Time

	rivals []rival // by address
	openAt []time.Duration
	view   detector.View
}

// rival is a higher voice that the port has heard.
type rival struct {
	voice mark
	lower bool
	until election.Time
}

func newProc(h *host) *proc {
	w := h.world
	h.processes++
	p := &proc{
		host: h, world: w, config: election.Defaults(h.name), incarnation: h.processes, born: w.now,
		sent: map[int]election.Time{}, detTimer: detector.Never,
	}
	c := detector.Defaults()
	if w.Election != nil {
		w.Election(&p.config, h.index)
	}
	if w.Detector != nil {
		w.Detector(&c, h.index)
	}
	p.det = detector.New(c)
	for l := range w.Leases {
		r := &reign{
			proc: p, lease: l, state: election.State{Config: p.config}, wake: election.Never,
			rivals: make([]rival, len(w.Leases[l])), openAt: make([]time.Duration, len(w.Leases[l])),
		}
		p.reigns = append(p.reigns, r)
	}
	p.leases = &stream{proc: p, length: func() int { return len(w.store.log) }, show: p.showLease, list: p.listLeases}
	p.policies = &stream{proc: p, length: func() int { return len(w.manager.log) }, show: p.showPolicy, list: p.listPolicies}
	p.leases.dial()
	p.policies.dial()
	return p
}

func (p *proc) clock() election.Time { return p.host.clock() }

func (p *proc) still() bool { return p.paused > 0 || p.host.stunned }

// plan plans what a thread of the process does: not if it has ended, and later if it is
// stopped.
func (p *proc) plan(d time.Duration, do func()) {
	p.world.after(d, func() { p.thread(do) })
}

func (p *proc) thread(do func()) {
	switch {
	case p.dead:
	case p.still():
		p.parked = append(p.parked, do)
	default:
		do()
	}
}

// loop has something done by the loop.
func (p *proc) loop(do func()) {
	switch {
	case p.dead:
	case p.still() || p.hung > 0:
		p.inputs = append(p.inputs, do)
	default:
		do()
	}
}

// at plans a turn of the loop for a reading of the clock.
func (p *proc) at(t election.Time, do func()) {
	p.world.after(p.host.until(t)+p.late(), func() { p.loop(do) })
}

// late is how late a loop wakes.
func (p *proc) late() time.Duration {
	w := p.world
	if w.Busy && w.rng.IntN(50) == 0 {
		return w.between(0, 90*time.Millisecond)
	}
	return time.Duration(w.rng.Int64N(int64(500 * time.Microsecond)))
}

// pause stops all threads for a while that the clock counts.
func (p *proc) pause(lasts time.Duration) {
	p.world.logf("%s: pauses for %s", p.host.name, lasts)
	p.stands()
	p.paused++
	p.host.rough = p.world.now
	p.world.after(lasts, func() {
		p.paused--
		p.host.rough = p.world.now
		p.unpark()
	})
}

// hang stops the loop alone.
func (p *proc) hang(lasts time.Duration) {
	p.world.logf("%s: hangs for %s", p.host.name, lasts)
	p.stands()
	p.hung++
	p.world.after(lasts, func() {
		p.hung--
		p.host.rough = p.world.now
		p.goOn()
	})
}

// stands notes when the loop was seen alive for the last time.
func (p *proc) stands() {
	if p.paused == 0 && p.hung == 0 {
		p.tick = p.clock() - p.world.between(0, tickEvery)
	}
}

// unpark lets the threads go on; the loop follows a little later.
func (p *proc) unpark() {
	if p.dead || p.still() {
		return
	}
	todo := p.parked
	p.parked = nil
	for _, do := range todo { // one by one, so that the checks see each state between
		p.plan(0, do)
	}
	if p.tick == 0 {
		p.tick = p.clock()
	}
	p.hung++
	p.world.after(p.world.between(0, 3*time.Millisecond), func() {
		p.hung--
		p.goOn()
	})
}

// goOn is the first turn of a loop that stood still.
func (p *proc) goOn() {
	if p.dead || p.still() || p.hung > 0 {
		return
	}
	gap := p.clock() - p.tick
	p.tick = 0
	todo := p.inputs
	p.inputs = nil
	if gap > tickLimit && p.world.Flaw != NoInterruption {
		p.world.logf("%s: stood still for %s", p.host.name, gap)
		p.interrupt()
	}
	for _, do := range todo {
		p.world.after(0, func() { p.loop(do) })
	}
	p.loop(func() {
		for _, r := range p.reigns {
			p.step(r, election.Tick{})
		}
		p.detect()
	})
}

func (p *proc) interrupt() {
	for _, r := range p.reigns {
		p.step(r, election.Interrupted{})
	}
	p.beat(func(bool) {})
}

// alive tells whether the gate may trust the loop.
func (p *proc) alive() bool {
	return p.hung == 0 || p.clock()-p.tick <= tickLimit || p.world.Flaw == GateWithoutTick
}
