// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"math/bits"
	"net/netip"
	"slices"
)

// A device that answers for every address, a router with proxy ARP for instance, is no host
// that uses this one. It is found out by questions for addresses that nobody has: three of the
// address's own subnet, and one that no network may use, as some such devices answer only for
// what lies beyond them.
const (
	controlsNear = 3
	controls     = controlsNear + 1
	// proxyAnswers is how many of them a card has to answer. One it may have.
	proxyAnswers = 2
)

// suspect is a card on a path, and the subnet of which it answered for an address: a router may
// be a host of its own subnet and a proxy for all others.
type suspect struct {
	path
	card   MAC
	subnet netip.Prefix
}

// verdict is what a card was found to be.
type verdict struct {
	reason Reason
	until  Time
}

// stage is how far a round of control questions has come.
type stage uint8

const (
	idle      stage = iota
	listening       // the table is made to hear the answers
	asked           // once
	repeated        // twice
)

// control is the round of control questions on a path.
type control struct {
	stage   stage
	at      Time             // of the next stage; idle: no round before
	waiting []suspect        // for the next rounds
	asking  []suspect        // about whom this round is: all of one subnet
	all     map[suspect]bool // both
	answers map[MAC]uint8    // of those asked about, a bit a question
	addrs   []netip.Addr
}

func (c *control) due() Time {
	if c.stage == idle && len(c.waiting) == 0 {
		return Never
	}
	return c.at
}

// suspect finds out what a stranger is, from memory or by a round of control questions.
func (s *Set) suspect(p *place, t *stranger) {
	at := path{p.Interface, p.Addr.Is6()}
	who := suspect{at, t.card, p.near}
	if v, ok := s.verdicts[who]; ok && s.now < v.until {
		t.reason = v.reason
		return
	}
	c := s.controls[at]
	if c == nil {
		c = &control{all: map[suspect]bool{}}
		s.controls[at] = c
		s.paths = append(s.paths, at)
	}
	if c.all[who] || len(c.all) >= MaxStrangersAll {
		return
	}
	c.all[who], c.waiting = true, append(c.waiting, who)
}

// subnetOf is the subnet from which control addresses are drawn: that of the interface if it is
// large enough, else a part of the address's own.
func subnetOf(p Place) netip.Prefix {
	bits, least := 24, 28
	if p.Addr.Is6() {
		bits, least = 64, 64
	}
	if p.Subnet.IsValid() && p.Subnet.Bits() <= least && p.Subnet.Addr().Is4() == p.Addr.Is4() && p.Subnet.Contains(p.Addr) {
		bits = max(p.Subnet.Bits(), 8)
	}
	subnet, _ := p.Addr.Prefix(bits)
	return subnet
}

// control carries a round on.
func (s *Set) control(at path) {
	c := s.controls[at]
	if s.now < c.due() {
		return
	}
	switch c.stage {
	case idle:
		subnet, waiting := c.waiting[0].subnet, c.waiting
		c.asking, c.waiting = nil, nil
		for _, who := range waiting {
			if who.subnet == subnet {
				c.asking = append(c.asking, who)
			} else {
				c.waiting = append(c.waiting, who)
			}
		}
		c.answers, c.addrs = map[MAC]uint8{}, s.draw(subnet)
		for _, who := range c.asking {
			c.answers[who.card] = 0
		}
		c.stage, c.at = listening, s.now+controlListen
		s.tell(Listen{Interface: at.name, V6: at.v6, Addrs: c.addrs})
	case listening, asked:
		for _, addr := range c.addrs {
			s.tell(AskControl{Interface: at.name, Addr: addr})
		}
		c.stage, c.at = c.stage+1, s.now+controlWait
	case repeated:
		s.verdict(at, c)
		for _, who := range c.asking {
			delete(c.all, who)
		}
		*c = control{at: s.now + controlGap, waiting: c.waiting, all: c.all}
		s.tell(Listen{Interface: at.name, V6: at.v6})
	}
}

// draw draws control addresses.
func (s *Set) draw(subnet netip.Prefix) []netip.Addr {
	var addrs []netip.Addr
	for range controlsNear {
		addrs = append(addrs, s.within(subnet))
	}
	far := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")} // RFC 5737
	if subnet.Addr().Is6() {
		far = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")} // RFC 3849
	}
	if len(far) > 1 && far[0].Overlaps(subnet) {
		far = far[1:]
	}
	return append(addrs, s.within(far[0]))
}

// within draws an address of a subnet that is none of its edges.
func (s *Set) within(subnet netip.Prefix) netip.Addr {
	b := subnet.Masked().Addr().AsSlice()
	for i := range b {
		host := byte(0xff) >> max(0, min(8, subnet.Bits()-8*i))
		b[i] |= byte(s.random.next()) & host
	}
	last := len(b) - 1
	b[last] &^= 1 // neither broadcast nor, with the next, network
	b[last] |= 2
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// controlled takes the answer to a control question.
func (s *Set) controlled(h Sound) {
	c := s.controls[path{h.Interface, h.Addr.Is6()}]
	if c == nil || c.stage < asked {
		return
	}
	answers, asked := c.answers[h.Card]
	if i := slices.Index(c.addrs, h.Addr); i >= 0 && asked {
		c.answers[h.Card] = answers | 1<<i
	}
}

// verdict ends a round.
func (s *Set) verdict(at path, c *control) {
	for who, v := range s.verdicts {
		if s.now >= v.until {
			delete(s.verdicts, who)
		}
	}
	found := map[suspect]Reason{}
	for _, who := range c.asking {
		found[who] = ForeignHost
		if bits.OnesCount8(c.answers[who.card]) >= proxyAnswers {
			found[who] = ProxyAnswers
		}
		if len(s.verdicts) < MaxStrangersAll {
			s.verdicts[who] = verdict{found[who], s.now + verdictFor}
		}
	}
	for _, p := range s.placesOn(at) {
		for i := range p.strangers {
			t := &p.strangers[i]
			if r := found[suspect{at, t.card, p.near}]; t.reason == 0 && r != 0 {
				s.judge(p, t, r)
			}
		}
		s.place(p)
	}
}

// placesOn are the places on a path with a stranger, in a fixed order.
func (s *Set) placesOn(at path) []*place {
	var ps []*place
	for where, here := range s.at {
		if where.name != at.name || where.addr.Is6() != at.v6 {
			continue
		}
		for _, p := range here {
			if len(p.strangers) > 0 {
				ps = append(ps, p)
			}
		}
	}
	slices.SortFunc(ps, func(a, b *place) int {
		if c := a.Addr.Compare(b.Addr); c != 0 || a.lease == b.lease {
			return c
		}
		if a.lease < b.lease {
			return -1
		}
		return 1
	})
	return ps
}
