// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	vip    = netip.MustParseAddr("203.0.113.40")
	vip6   = netip.MustParseAddr("2001:db8:1::40")
	subnet = netip.MustParsePrefix("203.0.113.0/24")

	foreign = MAC{2, 0xff, 0, 0, 0, 1}
	router  = MAC{2, 0xff, 0, 0, 0, 2}
	node2   = MAC{2, 0, 0, 0, 0, 2}
)

// host is somebody on the LAN.
type host struct {
	mac   MAC
	node  string              // whose card it is
	has   map[netip.Addr]bool // answers for these
	proxy bool                // answers for everything
	mute  bool

	beyond netip.Prefix // answers for all that is not in it
}

func (h *host) answers(a netip.Addr) bool {
	return !h.mute && (h.proxy || h.has[a] || h.beyond.IsValid() && !h.beyond.Contains(a))
}

// lan drives a Set: time goes by as the Set wants it to.
type lan struct {
	t     *testing.T
	set   *Set
	now   Time
	hosts []*host

	log     []Output // all but questions
	at      []Time   // of log
	asked   []Time
	control int
	heard   map[string][]Finding // as last reported
	cleared map[netip.Addr]Time
}

func newLAN(t *testing.T, seed uint64, hosts ...*host) *lan {
	return &lan{
		t: t, set: New(seed), now: time.Hour, hosts: hosts, heard: map[string][]Finding{}, cleared: map[netip.Addr]Time{},
	}
}

func (l *lan) follow(p Place) {
	if p.Interface == "" {
		p.Interface = "eth0"
	}
	if p.Addr.Is4() {
		p.Subnet = subnet
	}
	l.set.Follow(l.now, "lease "+p.Addr.String(), []Place{p})
	l.outputs()
}

// run lets time go by.
func (l *lan) run(d time.Duration) {
	l.t.Helper()
	for end := l.now + d; ; {
		wake := l.set.Wake()
		if wake > end {
			l.now = end
			return
		}
		if wake < l.now {
			wake = l.now
		}
		l.now = wake
		l.set.Tick(l.now)
		if l.set.Wake() <= l.now {
			l.t.Fatalf("at %s it wants another tick at %s", l.now, l.set.Wake())
		}
		l.outputs()
	}
}

func (l *lan) outputs() {
	for outs := l.set.Take(); len(outs) > 0; outs = l.set.Take() {
		for _, o := range outs {
			l.output(o)
		}
	}
}

func (l *lan) output(o Output) {
	switch o := o.(type) {
	case Ask:
		l.asked = append(l.asked, l.now)
		for _, h := range l.hosts {
			if h.answers(o.Addr) {
				l.set.Heard(l.now, Sound{Kind: Answered, Interface: o.Interface, Addr: o.Addr, Card: h.mac, Node: h.node})
			}
		}
		return
	case AskControl:
		l.control++
		for _, h := range l.hosts {
			if h.answers(o.Addr) {
				l.set.Heard(l.now, Sound{Kind: Control, Interface: o.Interface, Addr: o.Addr, Card: h.mac})
			}
		}
		return
	case Listen:
		return
	case Report:
		l.heard[o.Interface+o.Addr.String()] = o.Findings
	case Cleared:
		l.cleared[o.Addr] = l.now
	case Defend:
	}
	l.log, l.at = append(l.log, o), append(l.at, l.now)
}

func (l *lan) claims(h *host, addr netip.Addr) {
	l.set.Heard(l.now, Sound{Kind: Claimed, Interface: "eth0", Addr: addr, Card: h.mac, Node: h.node})
	l.outputs()
}

// finds fails the test unless just these are reported.
func (l *lan) finds(addr netip.Addr, want ...Finding) {
	l.t.Helper()
	if got := l.heard["eth0"+addr.String()]; !slices.Equal(got, want) {
		l.t.Errorf("at %s found %+v, want %+v", l.now, got, want)
	}
}

func stands(mac MAC, addrs ...netip.Addr) *host {
	h := &host{mac: mac, has: map[netip.Addr]bool{}}
	for _, a := range addrs {
		h.has[a] = true
	}
	return h
}
