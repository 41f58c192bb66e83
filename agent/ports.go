// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/metrics"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// brokenAfter is how long a port may be down before its interface counts as of no use: a
// flap of the link is over before.
const brokenAfter = time.Second

// port is the voice and the ear on one interface.
type port interface {
	Run(ctx context.Context) error
	State() wire.State
	Counters() wire.Counters
	Lost() uint64
	Waiting() bool
	SetTable(t *neighbor.Table)
	Announce(addrs ...netip.Addr)
	ClaimTo(addr netip.Addr, card neighbor.MAC) int
	Stop(addrs ...netip.Addr)
	Send(frames ...[]byte) error
}

// newWirePort makes a port with packet sockets.
func newWirePort(c wire.Config) (port, error) { return wire.New(c) }

// ports holds one port for every interface that carries a VIP. Only the loop calls it.
type ports struct {
	cluster, incarnation [8]byte
	key                  neighbor.Key
	pulse                *wire.Pulse
	sounds               chan wire.Heard
	log                  logr.Logger
	make                 func(wire.Config) (port, error)

	links  map[string]link.Interface
	open   map[string]*openPort
	counts *metrics.Wire
	tasks  sync.WaitGroup
}

// openPort is a port and what it was last told.
type openPort struct {
	port    port
	stop    context.CancelFunc
	voices  map[netip.Addr]voiceAt
	entries int // in its table
	up      bool
	again   bool          // it came up: its voices are to be announced
	failed  string        // why it is not up
	since   election.Time // since when, while failed
	broken  bool          // for longer than brokenAfter

	unanswered unanswered
	lost       uint64 // frames, as last looked at
}

// voiceAt tells one voice from the next on a port: when it changes, it is announced.
type voiceAt struct {
	mac         neighbor.MAC
	leaseUID    [16]byte
	transitions uint32
}

func newPorts(o Options, pulse *wire.Pulse, sounds chan wire.Heard) *ports {
	return &ports{
		cluster: short(o.Installation), incarnation: short(o.Incarnation),
		pulse: pulse, sounds: sounds, log: o.Log.WithName("port"), make: newWirePort,
		links: map[string]link.Interface{}, open: map[string]*openPort{}, counts: metrics.NewWire(),
	}
}

// short is a name as marks carry it.
func short(s string) [8]byte {
	sum := sha256.Sum256([]byte(s))
	return [8]byte(sum[:8])
}

// update takes the links as they are now, and gives the names of those that are new or have
// another card: what happened there meanwhile was not heard.
func (p *ports) update(s link.Snapshot) (changed []string) {
	old := maps.Clone(p.links)
	clear(p.links)
	for _, i := range s.Interfaces {
		p.links[i.Name] = i
		if o, ok := old[i.Name]; !ok || o.MAC != i.MAC || o.Index != i.Index {
			changed = append(changed, i.Name)
		}
	}
	return changed
}

// check looks after the ports. One that has come up will announce all its voices: what it
// said before was not heard. It tells whether anything changed, and which ports are back: what
// was said there meanwhile was not heard either.
func (p *ports) check(now election.Time) (changed bool, back []string) {
	for name, o := range p.open {
		up, broken := o.up, o.broken
		switch s := o.port.State(); {
		case s.Up:
			if !o.up && o.failed != "" {
				back = append(back, name)
			}
			o.again = o.again || !o.up
			o.up, o.failed, o.broken = true, "", false
		case s.Err != nil:
			if o.failed == "" {
				o.since = now
			}
			o.up, o.failed = false, s.Err.Error()
			o.broken = now-o.since >= brokenAfter
		}
		changed = changed || o.up != up || o.broken != broken
	}
	return changed, back
}

// missed tells whether frames were lost since it was asked last, as more came than this node
// could look at.
func (p *ports) missed() (some bool) {
	for _, o := range p.open {
		if n := o.port.Lost(); n != o.lost {
			o.lost, some = n, true
		}
	}
	return some
}

// waiting tells whether a port has received what nobody has read yet.
func (p *ports) waiting() bool {
	for _, o := range p.open {
		if o.port.Waiting() {
			return true
		}
	}
	return false
}

// trouble tells why an interface is of no use; empty: it is. Who speaks is patient: a flap
// is over soon. Who does not must not begin on a port by which it cannot ask.
func (p *ports) trouble(name string, patient bool) string {
	o := p.open[name]
	switch {
	case o != nil && o.up:
		return ""
	case o != nil && o.failed != "" && (o.broken || !patient):
		return name + ": " + o.failed
	case !patient:
		return name + " is not open yet"
	default:
		return ""
	}
}

// own tells whether a card is this node's.
func (p *ports) own(mac neighbor.MAC) bool {
	for _, i := range p.links {
		if i.MAC == mac {
			return true
		}
	}
	return false
}

func (p *ports) self(i link.Interface) neighbor.Self {
	return neighbor.Self{
		MAC: i.MAC, Cluster: p.cluster, Incarnation: p.incarnation, Key: p.key,
		Router: i.Router, IPv4: i.IPv4, LinkLocal: i.LinkLocal,
	}
}

// publish gives every port its table, opens those that are new and closes those that have
// nothing to do, and announces the voices that are new.
func (p *ports) publish(ctx context.Context, entries map[string][]neighbor.Entry) {
	for name, o := range p.open {
		if _, ok := p.links[name]; !ok || len(entries[name]) == 0 {
			p.shut(name, o)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		i, ok := p.links[name]
		if !ok || len(entries[name]) == 0 {
			continue
		}
		o := p.open[name]
		if o == nil {
			if o = p.dial(ctx, name); o == nil {
				continue
			}
		}
		o.entries = len(entries[name])
		for k := range entries[name] { // nothing is heard there: once it is up, it asks first
			entries[name][k].Muted = entries[name][k].Muted || !o.up
		}
		o.port.SetTable(neighbor.NewTable(p.self(i), entries[name]))
		o.announce(i.MAC, entries[name])
	}
}

// announce starts the rounds of new voices and ends those of old ones.
func (o *openPort) announce(mac neighbor.MAC, entries []neighbor.Entry) {
	if o.again { // what it said before was not heard
		o.port.Stop(slices.Collect(maps.Keys(o.voices))...)
		o.voices, o.again = nil, false
	}
	voices := map[netip.Addr]voiceAt{}
	var begin, end []netip.Addr
	for _, e := range entries {
		if !e.Voice {
			continue
		}
		v := voiceAt{mac: mac, leaseUID: e.LeaseUID, transitions: e.Transitions}
		if e.Muted && o.voices[e.Addr] != v {
			continue // it is announced once it may speak
		}
		voices[e.Addr] = v
		if o.voices[e.Addr] != v {
			begin = append(begin, e.Addr)
		}
	}
	for addr := range o.voices {
		if _, ok := voices[addr]; !ok {
			end = append(end, addr)
		}
	}
	o.voices = voices
	o.port.Stop(end...)
	o.port.Announce(begin...)
}

func (p *ports) dial(ctx context.Context, name string) *openPort {
	port, err := p.make(wire.Config{
		Interface: name, Pulse: p.pulse, Heard: p.sounds,
		Changed: func(s wire.State) {
			if s.Err != nil {
				p.log.Info("port is down", "interface", name, "err", s.Err.Error())
				return
			}
			p.log.Info("port", "interface", name, "up", s.Up)
		},
	})
	if err != nil {
		p.log.Info("no port", "interface", name, "err", err.Error())
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	o := &openPort{port: port, stop: stop}
	p.open[name] = o
	p.counts.Open(name, func() metrics.Reading { return reading(port.Counters()) })
	p.tasks.Go(func() {
		if err := port.Run(ctx); err != nil {
			p.log.Error(err, "port ended", "interface", name)
		}
	})
	return o
}

func (p *ports) shut(name string, o *openPort) {
	o.port.SetTable(neighbor.NewTable(neighbor.Self{}, nil))
	o.stop()
	delete(p.open, name)
	p.counts.Close(name)
}

// close shuts all ports and waits for them.
func (p *ports) close() {
	for name, o := range p.open {
		p.shut(name, o)
	}
	p.tasks.Wait()
}

// say sends a word of an agent on one interface to some cards. Where the form fails, for
// want of an address to ask with, the other one is taken.
func (p *ports) say(name string, addr netip.Addr, to []neighbor.MAC, form neighbor.Form, m neighbor.Mark) {
	i, ok := p.links[name]
	if !ok {
		return
	}
	self := p.self(i)
	if !self.IPv4.IsValid() {
		form = neighbor.ZeroSender
	}
	for _, mac := range to {
		if frame, ok := neighbor.Word(self, addr, mac, form, m); ok {
			p.send(name, frame)
		}
	}
}

// probe sends an ordinary question; false: the node has no address to ask with.
func (p *ports) probe(name string, addr netip.Addr, to neighbor.MAC) bool {
	frame, ok := neighbor.Probe(p.self(p.links[name]), addr, to)
	if ok {
		p.send(name, frame)
	}
	return ok
}

func (p *ports) send(name string, frame []byte) {
	o := p.open[name]
	if o == nil {
		return
	}
	if err := o.port.Send(frame); err != nil {
		p.log.V(1).Info("frame not sent", "interface", name, "err", err.Error())
	}
}

// claimTo claims an address towards one card.
func (p *ports) claimTo(name string, addr netip.Addr, card neighbor.MAC) {
	if o := p.open[name]; o != nil {
		o.port.ClaimTo(addr, card)
	}
}
