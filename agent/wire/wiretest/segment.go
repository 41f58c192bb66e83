// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// Segment is a switch with ports.
type Segment struct {
	start time.Time

	mu    sync.Mutex // guards what follows
	ports []*Port
	part  map[*Port]int // which part of a split segment; 0 by default
	cuts  map[pair]cut
	lose  func(from, to *Port, frame []byte) bool
	taps  []func(frame []byte)
}

// NewSegment makes a segment without ports.
func NewSegment() *Segment {
	return &Segment{start: time.Now(), part: map[*Port]int{}, cuts: map[pair]cut{}}
}

// clockStart is what the clock of a new segment shows: a machine has been up for a while.
const clockStart = time.Hour

// Clock is a boot clock for the ports and the loops above them, by package time and so by
// testing/synctest.
func (s *Segment) Clock() time.Duration { return clockStart + time.Since(s.start) }

// Plug makes a port. The configuration is that of a real one; without a clock it gets that
// of the segment.
func (s *Segment) Plug(cfg wire.Config) *Port {
	if cfg.Clock == nil {
		cfg.Clock = s.Clock
	}
	if cfg.Changed == nil {
		cfg.Changed = func(wire.State) {}
	}
	p := &Port{segment: s, cfg: cfg, table: neighbor.NewTable(neighbor.Self{}, nil)}
	p.announcer = wire.NewAnnouncer(p.Claim)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = append(s.ports, p)
	return p
}

// Split puts the ports in a part of their own, together; the others stay where they are.
// One port: its cable is pulled.
func (s *Segment) Split(ports ...*Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := 1
	for _, n := range s.part {
		part = max(part, n+1)
	}
	for _, p := range ports {
		s.part[p] = part
	}
}

// Heal joins all parts and mends all cuts.
func (s *Segment) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.part)
	clear(s.cuts)
}

// Lose sets which frames get lost on the way; nil for none. From is nil for a frame that
// no port sent.
func (s *Segment) Lose(f func(from, to *Port, frame []byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = f
}

// Tap has f see each frame that anybody sends, once. It must not send.
func (s *Segment) Tap(f func(frame []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = append(s.taps, f)
}

// Inject delivers a frame as a host of the undivided part would send it.
func (s *Segment) Inject(frame []byte) { s.deliver(nil, frame) }

// client is the host by which Ask asks.
var client = neighbor.Self{
	MAC:       neighbor.MAC{0x02, 0, 0x5e, 0, 0x53, 0xff},
	Cluster:   [8]byte{'c', 'l', 'i', 'e', 'n', 't'},
	LinkLocal: netip.MustParseAddr("fe80::5eff:fe00:53ff"),
}

// Ask asks everyone in the undivided part for an address, as a client does, and gives the
// MACs that answered in the order of their answers. More than one is a fault.
func (s *Segment) Ask(addr netip.Addr) []neighbor.MAC {
	var macs []neighbor.MAC
	listener := neighbor.NewTable(client, []neighbor.Entry{{Addr: addr}})
	hear := func(frame []byte) {
		if h := listener.Decide(nil, frame, neighbor.Gate{}).Heard; h.Sound == neighbor.HeardAnswer {
			macs = append(macs, h.MAC)
		}
	}
	s.mu.Lock()
	s.taps = append(s.taps, hear)
	at := len(s.taps) - 1
	s.mu.Unlock()
	// Its mark is of no cluster the ports know, so it is a client's question to them.
	if q, ok := neighbor.Question(client, addr, neighbor.Broadcast(), neighbor.ZeroSender, neighbor.Mark{}); ok {
		s.Inject(q)
	}
	s.mu.Lock()
	s.taps = slices.Delete(s.taps, at, at+1)
	s.mu.Unlock()
	return macs
}

// deliver hands the frame to all ports it reaches. No lock is held while they act on it.
func (s *Segment) deliver(from *Port, frame []byte) {
	s.mu.Lock()
	var to []*Port
	for _, p := range s.ports {
		if p != from && s.part[p] == s.part[from] && !s.cuts[pair{from, p}].stops(frame) && (s.lose == nil || !s.lose(from, p, frame)) {
			to = append(to, p)
		}
	}
	var taps []func([]byte)
	if s.part[from] == 0 {
		taps = slices.Clone(s.taps)
	}
	s.mu.Unlock()
	for _, f := range taps {
		f(frame)
	}
	for _, p := range to {
		p.receive(frame, s.Clock())
	}
}
