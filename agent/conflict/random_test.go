// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// On LANs drawn at random, with hosts, proxies, other announcers and a cluster's own peers, each
// stranger is found, and nobody else; and what is free is used.
func TestRandomLANs(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomLAN(t, seed) })
	}
}

func randomLAN(t *testing.T, seed uint64) {
	r := random(seed)
	draw := func(n int) int { return int(r.next() % uint64(n)) }
	l := newLAN(t, seed)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)}) }

	// Peers are heard with marks, so the loop passes nothing of them on: they are not here.
	want := map[netip.Addr]map[MAC]Reason{}
	blocked := map[netip.Addr]bool{}
	addrs := 1 + draw(20)
	for i := range addrs {
		want[addr(i)] = map[MAC]Reason{}
	}
	for n := range draw(4) {
		h := stands(MAC{2, 0xff, 0, 0, 1, byte(n)})
		reason := ForeignHost
		switch draw(3) {
		case 0:
			h.proxy, reason = true, ProxyAnswers
		case 1:
			h.node, reason = "n2", OtherAnnouncer
		}
		for i := range addrs {
			if h.proxy || draw(4) == 0 {
				h.has[addr(i)] = true
				want[addr(i)][h.mac] = reason
				blocked[addr(i)] = blocked[addr(i)] || reason.blocks()
			}
		}
		l.hosts = append(l.hosts, h)
	}
	role := map[netip.Addr]Role{}
	for i := range addrs {
		role[addr(i)] = Role(1 + draw(2))
		l.follow(Place{Addr: addr(i), Role: role[addr(i)], Defend: draw(2) == 0})
	}
	for range 60 {
		l.run(5 * time.Second)
		if len(l.hosts) > 0 && draw(2) == 0 {
			h := l.hosts[draw(len(l.hosts))]
			if a := addr(draw(addrs)); h.has[a] && !h.proxy {
				l.claims(h, a)
			}
		}
	}
	for a, ms := range want {
		got := map[MAC]Reason{}
		for _, f := range l.heard["eth0"+a.String()] {
			got[f.Card] = f.Reason
		}
		if !reflect.DeepEqual(got, ms) {
			t.Errorf("%s: found %v, want %v", a, got, ms)
		}
		if _, free := l.cleared[a]; role[a] == Probe && free == blocked[a] {
			t.Errorf("%s: free %v, in use %v", a, free, blocked[a])
		}
	}
	for _, h := range l.hosts {
		h.mute = true
	}
	l.run(5 * time.Minute)
	for a := range want {
		if role[a] == Speak || blocked[a] {
			l.finds(a)
		}
	}
}

// The same events and the same seed give the same outputs.
func TestSameEventsSameOutputs(t *testing.T) {
	run := func() []Output {
		l := newLAN(t, 4, stands(foreign, vip, vip6), &host{mac: router, proxy: true})
		for _, a := range []netip.Addr{vip, vip6} {
			l.follow(Place{Addr: a, Role: Probe})
		}
		l.run(3 * time.Minute)
		return l.log
	}
	if a, b := run(), run(); !reflect.DeepEqual(a, b) || len(a) == 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// No order of events makes a Set forget its bounds, spin or panic.
func FuzzEvents(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add([]byte("follow, hear, tick, forget, and again"))
	f.Fuzz(func(t *testing.T, events []byte) {
		s, now := New(1), Time(0)
		for len(events) >= 4 {
			e, a, b, c := events[0], events[1], events[2], events[3]
			events = events[4:]
			addr := netip.AddrFrom4([4]byte{203, 0, 113, a % 8})
			if a&64 != 0 {
				addr = netip.AddrFrom16([16]byte{0xfd, 15: a % 8})
			}
			name := [...]string{"eth0", "eth1"}[a>>7]
			switch e % 4 {
			case 0:
				p := Place{Addr: addr, Interface: name, Role: Role(1 + b%2), Wait: Time(b%4) * time.Second, Defend: c&1 != 0}
				if c&2 != 0 {
					p.Kernels = []string{"n1"}
				}
				s.Follow(now, fmt.Sprint(c%4), []Place{p, {Addr: addr, Interface: "eth1", Role: Role(1 + c%2)}})
			case 1:
				s.Follow(now, fmt.Sprint(c%4), nil)
			case 2:
				h := Sound{Kind: Kind(1 + b%4), Interface: name, Addr: addr, Card: MAC{2, c}}
				if b&16 != 0 {
					h.Node = "n1"
				}
				s.Heard(now, h)
			case 3:
				now += Time(b)*Time(b)*time.Millisecond + Time(c)*time.Second
				for n := 0; s.Wake() <= now; n++ {
					s.Tick(now)
					if n > 10000 {
						t.Fatal("it never has enough")
					}
				}
			}
			for _, o := range s.Take() {
				if l, ok := o.(Listen); ok {
					for _, a := range l.Addrs {
						s.Heard(now, Sound{Kind: Control, Interface: l.Interface, Addr: a, Card: MAC{2, c}})
					}
				}
			}
			check(t, s)
		}
		for lease := range s.leases {
			s.Follow(now, lease, nil)
		}
		if s.Len() != 0 || len(s.queue) != 0 || len(s.at) != 0 {
			t.Errorf("%d strangers, %d queued, %d spots are left", s.Len(), len(s.queue), len(s.at))
		}
	})
}

func check(t *testing.T, s *Set) {
	t.Helper()
	all := 0
	for _, ps := range s.leases {
		for _, p := range ps {
			all += len(p.strangers)
			if len(p.strangers) > MaxStrangers {
				t.Fatalf("%d strangers of one address", len(p.strangers))
			}
			if p.slot >= 0 && s.queue[p.slot] != p {
				t.Fatal("the queue is out of order")
			}
		}
	}
	if all != s.Len() {
		t.Fatalf("%d strangers, counted %d", all, s.Len())
	}
}
