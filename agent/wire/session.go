// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// sockets of a port that is up.
type sockets struct {
	arp, ndp *socket
	groups   *groups
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

func (s *sockets) Close() {
	if s.arp != nil {
		_ = s.arp.Close()
	}
	if s.ndp != nil {
		_ = s.ndp.Close()
	}
	if s.groups != nil {
		s.groups.Close()
	}
}

// dial opens all sockets, or none.
func (p *Port) dial() (*sockets, error) {
	p.tally.dials.Add(1)
	ifi, err := net.InterfaceByName(p.cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", p.cfg.Interface, err)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("interface %s: %w", p.cfg.Interface, unix.ENETDOWN)
	}
	s := &sockets{groups: newGroups(ifi.Index)}
	err = withNetRaw(func() (err error) {
		if s.arp, err = openSocket(ifi, unix.ETH_P_ARP, arpFilter()); err != nil {
			return fmt.Errorf("opening the ARP socket on %s: %w", ifi.Name, err)
		}
		if s.ndp, err = openSocket(ifi, unix.ETH_P_IPV6, ndpFilter()); err != nil {
			return fmt.Errorf("opening the NDP socket on %s: %w", ifi.Name, err)
		}
		return nil
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// groupRetry is when groups that could not be joined are tried again.
const groupRetry = 5 * time.Second

// session opens the sockets and serves until they fail or the context ends.
func (p *Port) session(ctx context.Context) error {
	s, err := p.dial()
	if err != nil {
		return err
	}
	readers, failed := errgroup.WithContext(ctx)
	for _, socket := range []*socket{s.arp, s.ndp} {
		readers.Go(func() error { return p.read(socket) })
	}
	p.sockets.Store(s)
	p.setState(State{Up: true})
	for retry := p.join(s.groups); failed.Err() == nil; {
		select {
		case <-failed.Done():
		case <-p.tableSet:
			retry = p.join(s.groups)
		case <-retry:
			retry = p.join(s.groups)
		}
	}
	p.sockets.Store(nil)
	s.Close() // and so ends the reader that still reads
	p.tally.groups.Store(0)
	return readers.Wait()
}

// join has the groups follow the table. If some could not be joined it gives a channel
// that says when to try again.
func (p *Port) join(g *groups) <-chan time.Time {
	failed, err := g.set(p.table.Load().Groups())
	p.tally.groups.Store(uint64(len(g.joined)))
	if err == nil {
		return nil
	}
	p.tally.groupErrors.Add(uint64(failed))
	return time.After(groupRetry)
}

// read serves one socket until it fails. Its buffers are made once.
func (p *Port) read(s *socket) error {
	r, w := newReader(), &writer{}
	recv, send := r.read, w.write
	reply := make([]byte, 0, neighbor.ReplySize)
	for {
		if err := s.raw.Read(recv); err != nil {
			return fmt.Errorf("receiving on %s: %w", p.cfg.Interface, err)
		}
		if r.err != nil {
			return fmt.Errorf("receiving on %s: %w", p.cfg.Interface, r.err)
		}
		age := r.age(time.Now())
		now := p.cfg.Clock()
		table := p.table.Load()
		v := table.Decide(reply, r.frame(), p.gate(now, age))
		if v.Heard.Marked {
			entry, _ := table.Lookup(v.Heard.Addr)
			p.rivals.hear(v.Heard, entry, table.Self().MAC, now)
		}
		p.tally.verdict(v)
		if v.Reply != nil {
			w.frame = v.Reply
			err := s.raw.Control(send)
			if err == nil {
				err = w.err
			}
			if err == nil {
				p.tally.replies.Add(1)
			} else {
				p.tally.sendErrors.Add(1)
			}
		}
		if v.Heard.Sound != neighbor.Silence {
			p.hear(Heard{Heard: v.Heard, Interface: p.cfg.Interface, At: now - age})
		}
	}
}

func (p *Port) hear(h Heard) {
	if h.Offer(p.cfg.Heard) {
		p.tally.heard.Add(1)
	} else {
		p.tally.heardLost.Add(1)
	}
}
