// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/mld"
)

// Heard is what a port heard.
type Heard struct {
	neighbor.Heard
	// Interface that heard it.
	Interface string
	// At is when the kernel received it, by the boot clock.
	At time.Duration
}

// Offer puts what was heard into the channel if there is room, and tells whether there
// was. Half of the room is kept for peers and witnesses, so that strangers cannot crowd
// them out.
func (h Heard) Offer(to chan<- Heard) bool {
	if !h.Marked && h.Sound != neighbor.HeardWitness && len(to) > cap(to)/2 {
		return false
	}
	select {
	case to <- h:
		return true
	default: // also if there is no channel
		return false
	}
}

// State is whether a port has its sockets.
type State struct {
	Up bool
	// Err is why not; nil before the first attempt and after the end.
	Err error
	// Echo is why echo requests are not answered although the table says so. The port is up
	// all the same.
	Echo error
}

// Config of a port.
type Config struct {
	// Interface by name: one that goes and comes back with another index is the same.
	Interface string
	// Pulse of the control loop, for the gate.
	Pulse *Pulse
	// Heard gets what is heard. It is never waited for: when it is full, what is heard is
	// lost and counted. Nil for nobody.
	Heard chan<- Heard
	// Changed is called when the port comes up, goes down or fails for another reason. It
	// must not block. Nil for nobody.
	Changed func(State)
	// Clock is the boot clock, Boottime if nil.
	Clock func() time.Duration
}

// validate fills in what has a default.
func (c *Config) validate() error {
	switch {
	case c.Interface == "":
		return errors.New("a port needs the name of its interface")
	case c.Pulse == nil:
		return errors.New("a port needs the pulse of its control loop")
	}
	if c.Clock == nil {
		c.Clock = Boottime
	}
	if c.Changed == nil {
		c.Changed = func(State) {}
	}
	return nil
}

// Port speaks and listens on one interface. All methods but Run may be called from any
// goroutine, at any time.
type Port struct {
	cfg       Config
	announcer *Announcer
	table     atomic.Pointer[neighbor.Table]
	tableSet  chan struct{} // holds one token when the table is new to Run
	sockets   atomic.Pointer[sockets]
	state     atomic.Pointer[State] // written by Run alone
	nonce     atomic.Uint32         // of claims
	rivals    rivals
	filters   filters
	queries   queries
	listener  *mld.Listener // of Run alone; it outlives sessions
	tally     tally
}

// New makes a port that has an empty table. It opens nothing; Run does.
func New(cfg Config) (*Port, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Port{
		cfg: cfg, tableSet: make(chan struct{}, 1), queries: newQueries(),
		listener: mld.New(rand.Uint64()), // #nosec G404 -- nothing depends on nobody knowing when
	}
	p.announcer = NewAnnouncer(p.Claim)
	p.table.Store(neighbor.NewTable(neighbor.Self{}, nil))
	p.state.Store(&State{})
	return p, nil
}

// String names the port.
func (p *Port) String() string { return "port " + p.cfg.Interface }

// Ready is whether the port has its sockets and answers.
func (p *Port) Ready() bool { return p.state.Load().Up }

// State is whether the port has its sockets, and why not.
func (p *Port) State() State { return *p.state.Load() }

// Counters reads what was counted so far.
func (p *Port) Counters() Counters {
	p.tally.overflows.Add(p.filters.overflows())
	return p.tally.read()
}

// Lost is how many frames that passed a filter were never judged or passed on, as there were too
// many: what seemed silent meanwhile may have answered.
func (p *Port) Lost() uint64 {
	p.tally.overflows.Add(p.filters.overflows())
	return p.tally.overflows.Load() + p.tally.heardLost.Load()
}

// Waiting tells whether frames wait that were received some time ago and not read yet: the reader has a
// thread of its own, which may be late where the caller is not.
func (p *Port) Waiting() bool {
	s, now := p.sockets.Load(), p.cfg.Clock()
	return s != nil && (s.arp.waiting(now) || s.ndp.waiting(now))
}

// Table is the table last set.
func (p *Port) Table() *neighbor.Table { return p.table.Load() }

// SetTable has every frame from now on judged by this table; when it returns, none is dropped by
// a filter that this table would not drop. Groups, echo sockets and exact filters follow soon.
// It also wakes a port that waits to open its sockets again.
func (p *Port) SetTable(t *neighbor.Table) {
	p.table.Store(t)
	p.filters.widen(t)
	select {
	case p.tableSet <- struct{}{}:
	default:
	}
}

// Announce starts the rounds of announcement for the addresses (neighbor.Rounds), the
// first at once. What is sent is what the table allows at that moment: nothing without a
// voice or through a shut gate.
func (p *Port) Announce(addrs ...netip.Addr) { p.announcer.Announce(addrs...) }

// Stop ends the rounds of the addresses.
func (p *Port) Stop(addrs ...netip.Addr) { p.announcer.Stop(addrs...) }

// Claim sends one claim for the address to everyone, and gives the number of frames sent:
// none without a voice or through a shut gate.
func (p *Port) Claim(addr netip.Addr) int { return p.ClaimTo(addr, neighbor.Broadcast()) }

// ClaimTo is Claim for one card.
func (p *Port) ClaimTo(addr netip.Addr, card neighbor.MAC) int {
	frames, ok := p.table.Load().ClaimTo(addr, p.gate(p.cfg.Clock(), 0), p.nonce.Add(1), card)
	if !ok {
		return 0
	}
	n := 0
	for _, f := range frames {
		if p.Send(f) == nil {
			n++
		}
	}
	p.tally.claims.Add(uint64(n))
	return n
}

// gate is what must be known to speak at now.
func (p *Port) gate(now, age time.Duration) neighbor.Gate {
	g := p.cfg.Pulse.Gate(now, age)
	g.Rivals = &p.rivals
	return g
}

// errDown is why a frame cannot be sent by a port without sockets.
var errDown = errors.New("the port is down")

// Send hands frames to the kernel, Ethernet header included, without waiting. It goes on
// after an error and gives the first.
func (p *Port) Send(frames ...[]byte) error {
	var first error
	for _, f := range frames {
		err := errDown
		if s := p.sockets.Load(); s != nil {
			err = s.send(f)
		}
		if err == nil {
			p.tally.sent.Add(1)
			continue
		}
		p.tally.sendErrors.Add(1)
		if first == nil {
			first = fmt.Errorf("sending on %s: %w", p.cfg.Interface, err)
		}
	}
	return first
}

// Run opens the sockets, serves until the context ends, and opens them again with
// growing pauses whenever they fail. It returns nil when the context ends; every other
// trouble is a State. All sockets are opened by the calling goroutine, in its network
// namespace.
func (p *Port) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.announcer.Run(ctx) })
	group.Go(func() error { return refresh(ctx, p.voices, p.refresh) })
	p.redial(ctx)
	p.setState(State{})
	return group.Wait()
}

func (p *Port) voices() iter.Seq[neighbor.Entry] { return p.table.Load().All() }

func (p *Port) refresh(addr netip.Addr) {
	if p.Claim(addr) > 0 {
		p.tally.refreshes.Add(1)
	}
}

const (
	// A flap of the link is over within milliseconds; a missing interface or permission
	// is told of by SetTable or not at all.
	firstPause = 20 * time.Millisecond
	maxPause   = time.Second

	// healthy is how long sockets must have lived for the pauses to start over.
	healthy = 5 * time.Second
)

func (p *Port) redial(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		start := time.Now()
		err := p.session(ctx)
		if ctx.Err() != nil {
			return
		}
		p.setState(State{Err: err})
		if time.Since(start) > healthy {
			pause = firstPause
		}
		p.wait(ctx, pause)
		pause = min(2*pause, maxPause)
	}
}

// wait until the pause is over. A new table cuts it short, but not below the first: what
// fails at once is not tried again at once.
func (p *Port) wait(ctx context.Context, pause time.Duration) {
	least := time.NewTimer(firstPause)
	defer least.Stop()
	select {
	case <-ctx.Done():
		return
	case <-least.C:
	}
	rest := time.NewTimer(pause - firstPause)
	defer rest.Stop()
	select {
	case <-ctx.Done():
	case <-rest.C:
	case <-p.tableSet:
	}
}

func (p *Port) setState(s State) {
	old := *p.state.Load()
	p.state.Store(&s)
	if old.Up != s.Up || errorText(old.Err) != errorText(s.Err) || errorText(old.Echo) != errorText(s.Echo) {
		p.cfg.Changed(s)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// protocolOf tells which socket a frame goes out by.
func protocolOf(frame []byte) uint16 {
	if len(frame) < 14 {
		return 0
	}
	return binary.BigEndian.Uint16(frame[12:])
}
