// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// Port is a port of a Segment with the methods of a wire.Port.
type Port struct {
	segment   *Segment
	cfg       wire.Config
	announcer *wire.Announcer
	host      bool // a kernel: always awake, and without marks

	mu       sync.Mutex // guards what follows; not held while anybody else is called
	table    *neighbor.Table
	state    wire.State
	counters wire.Counters
	nonce    uint32
	rivals   neighbor.Rivals
	paused   bool
	behind   bool // frames wait that nobody reads
	queue    []queued
}

// queued is a frame that arrived while the machine was paused.
type queued struct {
	frame []byte
	at    time.Duration
}

// String names the port.
func (p *Port) String() string { return "port " + p.cfg.Interface }

// Run brings the port up until the context ends, and returns nil.
func (p *Port) Run(ctx context.Context) error {
	p.setState(wire.State{Up: true})
	err := p.announcer.Run(ctx)
	p.setState(wire.State{})
	return err
}

// Fail takes the port down for a reason, or with nil up again.
func (p *Port) Fail(err error) { p.setState(wire.State{Up: err == nil, Err: err}) }

func (p *Port) setState(s wire.State) {
	p.mu.Lock()
	p.state = s
	p.mu.Unlock()
	p.cfg.Changed(s)
}

// State is whether the port is up, and why not.
func (p *Port) State() wire.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Ready is whether the port is up.
func (p *Port) Ready() bool { return p.State().Up }

// Counters reads what was counted so far.
func (p *Port) Counters() wire.Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counters
}

// Table is the table last set.
func (p *Port) Table() *neighbor.Table {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table
}

// SetTable has every frame from now on judged by this table.
func (p *Port) SetTable(t *neighbor.Table) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table = t
}

// Announce starts the rounds of announcement for the addresses.
func (p *Port) Announce(addrs ...netip.Addr) { p.announcer.Announce(addrs...) }

// Stop ends the rounds of the addresses.
func (p *Port) Stop(addrs ...netip.Addr) { p.announcer.Stop(addrs...) }

// Claim sends one claim for the address to everyone, and gives the number of frames sent.
func (p *Port) Claim(addr netip.Addr) int { return p.ClaimTo(addr, neighbor.Broadcast()) }

// Lost is how many sounds were not passed on.
func (p *Port) Lost() uint64 { return p.Counters().HeardLost }

// Waiting tells whether frames wait that were not read, as the port pauses or is behind.
func (p *Port) Waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behind || len(p.queue) > 0
}

// SetBehind has the port seem to have more to read than it comes to, or no more.
func (p *Port) SetBehind(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind = is
}

// Lose loses a sound, as if there had been too many.
func (p *Port) Lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counters.HeardLost++
}

// ClaimTo is Claim for one card.
func (p *Port) ClaimTo(addr netip.Addr, card neighbor.MAC) int {
	p.mu.Lock()
	p.nonce++
	frames, ok := p.table.ClaimTo(addr, p.gate(p.cfg.Clock(), 0), p.nonce, card)
	p.mu.Unlock()
	if !ok || p.Send(frames...) != nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counters.Claims += uint64(len(frames))
	return len(frames)
}

// gate is what must be known to speak at now. The caller holds the lock.
func (p *Port) gate(now, age time.Duration) neighbor.Gate {
	if p.host {
		return neighbor.Gate{Now: now, Tick: now}
	}
	g := p.cfg.Pulse.Gate(now, age)
	g.Rivals = &p.rivals
	return g
}

var errDown = errors.New("the port is down")

// Send delivers frames to the other ports.
func (p *Port) Send(frames ...[]byte) error {
	p.mu.Lock()
	up := p.state.Up && !p.paused
	if up {
		p.counters.Sent += uint64(len(frames))
	} else {
		p.counters.SendErrors += uint64(len(frames))
	}
	p.mu.Unlock()
	if !up {
		return errDown
	}
	for _, f := range frames {
		p.segment.deliver(p, f)
	}
	return nil
}

// Pause stops the port as a stalled machine would: what arrives is queued by the kernel.
func (p *Port) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = true
}

// Resume has the port work on what was queued meanwhile, each frame as old as it is.
func (p *Port) Resume() {
	p.mu.Lock()
	queue := p.queue
	p.queue, p.paused = nil, false
	p.mu.Unlock()
	for _, q := range queue {
		p.receive(q.frame, q.at)
	}
}

// receive acts on a frame that the kernel received at that time.
func (p *Port) receive(frame []byte, at time.Duration) {
	p.mu.Lock()
	if p.paused {
		p.queue = append(p.queue, queued{bytes.Clone(frame), at})
	}
	if p.paused || !p.state.Up {
		p.mu.Unlock()
		return
	}
	now := p.cfg.Clock()
	v := p.table.Decide(nil, frame, p.gate(now, now-at))
	if v.Heard.Marked {
		entry, _ := p.table.Lookup(v.Heard.Addr)
		p.rivals.Hear(v.Heard, entry, p.table.Self().MAC, now)
	}
	if p.host {
		v.Reply = unmarked(v.Reply)
	}
	p.count(v)
	p.mu.Unlock()
	if v.Reply != nil {
		p.segment.deliver(p, v.Reply)
	}
	if v.Heard.Sound == neighbor.Silence {
		return
	}
	passed := wire.Heard{Heard: v.Heard, Interface: p.cfg.Interface, At: at}.Offer(p.cfg.Heard)
	p.mu.Lock()
	defer p.mu.Unlock()
	if passed {
		p.counters.Heard++
	} else {
		p.counters.HeardLost++
	}
}

func (p *Port) count(v neighbor.Verdict) {
	p.counters.Frames++
	if v.Question() {
		p.counters.Requests++
	}
	if v.Drop == neighbor.DropNone {
		p.counters.Replies++
	} else {
		p.counters.Drops[v.Drop]++
	}
}
