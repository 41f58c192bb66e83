// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/filter"
)

// sockets of a port that is up.
type sockets struct {
	ifi      *net.Interface
	arp, ndp *socket
	groups   *groups
	carrier  *carrier
}

// errProtocol is a frame that is neither ARP nor IPv6.
var errProtocol = errors.New("not a frame of ARP or IPv6")

func (s *sockets) send(frame []byte) error {
	switch protocolOf(frame) {
	case unix.ETH_P_ARP:
		return s.arp.send(frame)
	case unix.ETH_P_IPV6:
		return s.ndp.send(frame)
	}
	return errProtocol
}

var errRenamed = errors.New("the name is another interface's now")

// moved tells why the sockets are no more of use to who goes by the interface's name; nil: they
// are, or will fail by themselves.
func (s *sockets) moved(name string) error {
	if index, ok := s.arp.named(name); ok && index != s.ifi.Index {
		return fmt.Errorf("interface %s: %w", name, errRenamed)
	}
	return nil
}

func (s *sockets) Close() {
	if s.arp != nil {
		_ = s.arp.Close()
	}
	if s.ndp != nil {
		_ = s.ndp.Close()
	}
	if s.carrier != nil {
		s.carrier.Close()
	}
	s.groups.Close()
}

// dial opens all sockets, or none. Those of echo requests are another matter.
func (p *Port) dial() (*sockets, error) {
	p.tally.dials.Add(1)
	ifi, err := interfaceByName(p.cfg.Interface)
	if err == nil && ifi.Flags&net.FlagUp == 0 {
		err = unix.ENETDOWN
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", p.cfg.Interface, remedy(p.cfg.Interface, err))
	}
	s := &sockets{ifi: ifi, groups: newGroups(ifi.Index)}
	err = withNetRaw(func() (err error) {
		if s.arp, err = openSocket(ifi, filter.ARP); err != nil {
			return fmt.Errorf("opening the ARP socket on %s: %w", ifi.Name, err)
		}
		if s.ndp, err = openSocket(ifi, filter.NDP); err != nil {
			return fmt.Errorf("opening the NDP socket on %s: %w", ifi.Name, err)
		}
		return nil
	})
	if err == nil {
		s.carrier, err = watchCarrier(ifi.Index)
	}
	if err != nil {
		s.Close()
		return nil, remedy(ifi.Name, err)
	}
	return s, nil
}

// fitDelay is how long tables are waited for before filters are built of the last one: while
// Services come by the hundred, once is enough. Until then more passes than need be.
const fitDelay = 50 * time.Millisecond

// session opens the sockets and serves until they fail or the context ends.
func (p *Port) session(ctx context.Context) error {
	s, err := p.dial()
	if err != nil {
		return err
	}
	readers, failed := errgroup.WithContext(ctx)
	for _, socket := range []*socket{s.arp, s.ndp} {
		p.filters.add(socket.kind, socket)
		readers.Go(func() error { return p.read(socket) })
	}
	readers.Go(s.carrier.run)
	p.sockets.Store(s)
	echoes := newEchoes(p, s.ifi)
	moved := p.serve(failed, s, echoes)
	p.sockets.Store(nil)
	p.tally.overflows.Add(p.filters.overflows())
	for _, socket := range []*socket{s.arp, s.ndp} {
		p.filters.remove(socket.kind, socket)
	}
	s.Close() // and so ends the readers that still read
	p.tally.groups.Store(0)
	err = readers.Wait() // failed is over now, if it was not before
	echoes.close()
	if moved != nil {
		return moved
	}
	return err
}

// serve has all that is open follow the table until the context is over, or the sockets are no
// more of use, which it tells.
func (p *Port) serve(ctx context.Context, s *sockets, e *echoes) error {
	follow := func(retry bool) {
		e.follow(ctx, p.table.Load(), retry)
		p.setState(State{Up: true, Echo: e.err})
	}
	follow(false)
	fit := time.After(0)
	for m := p.join(s); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-p.tableSet:
			if err := s.moved(p.cfg.Interface); err != nil {
				return err
			}
			m.follow()
			follow(false)
			if fit == nil {
				fit = time.After(fitDelay)
			}
		case <-m.retry:
			m.follow()
		case <-m.timer.C:
			m.tick()
		case <-s.carrier.back:
			m.again()
		case q := <-p.queries.general:
			m.hear(q)
		case q := <-p.queries.specific:
			m.hear(q)
		case <-fit:
			fit = nil
			p.tally.filters.Add(uint64(p.filters.fit(p.table.Load)))
		case <-e.retry:
			follow(true)
			if fit == nil {
				fit = time.After(0)
			}
		case end := <-e.ended:
			e.end(end)
			p.setState(State{Up: true, Echo: e.err})
		}
	}
	return nil
}

// read serves one socket until it fails. Its buffers are made once.
func (p *Port) read(s *socket) error {
	echo, size, answer := false, frameSize, neighbor.ReplySize
	if s.kind == filter.Echo4 || s.kind == filter.Echo6 {
		echo, size, answer = true, echoFrameSize, echoFrameSize
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	r, w := newReader(size, s.quit), &writer{}
	recv, send := r.read, w.write
	reply := make([]byte, 0, answer)
	limit := newBucket(echoRate, echoBurst)
	for {
		if err := s.raw.Control(recv); err != nil {
			return fmt.Errorf("receiving on %s: %w", p.cfg.Interface, err)
		}
		if r.err != nil {
			return fmt.Errorf("receiving on %s: %w", p.cfg.Interface, remedy(p.cfg.Interface, r.err))
		}
		if s.kind == filter.NDP && p.query(r.frame()) {
			continue
		}
		wall := time.Now()
		if echo {
			if limit.wait(wall) > 0 {
				p.tally.echoLimited.Add(1)
				continue
			}
			limit.take(1)
		}
		age := r.age(wall)
		v, at := p.judge(reply, r.frame(), age)
		s.readAt.Store(int64(at + age))
		s.readAge.Store(int64(age))
		p.tally.verdict(v, echo)
		if v.Reply != nil {
			w.frame = v.Reply
			err := s.raw.Control(send)
			if err == nil {
				err = w.err
			}
			p.tally.answered(err, echo)
		}
		if v.Heard.Sound != neighbor.Silence {
			p.hear(Heard{Heard: v.Heard, Interface: p.cfg.Interface, At: at})
		}
	}
}

// judge asks the table, and remembers a higher voice for the gate. At is when the frame was
// received, by the boot clock.
func (p *Port) judge(reply, frame []byte, age time.Duration) (v neighbor.Verdict, at time.Duration) {
	now := p.cfg.Clock()
	table := p.table.Load()
	v = table.Decide(reply, frame, p.gate(now, age))
	if v.Heard.Marked {
		entry, _ := table.Lookup(v.Heard.Addr)
		p.rivals.hear(v.Heard, entry, table.Self().MAC, now)
	}
	return v, now - age
}

func (p *Port) hear(h Heard) {
	if h.Offer(p.cfg.Heard) {
		p.tally.heard.Add(1)
	} else {
		p.tally.heardLost.Add(1)
	}
}
