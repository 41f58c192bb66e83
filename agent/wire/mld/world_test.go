// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

var (
	us      = Card{MAC: neighbor.MAC{2, 0, 0, 0, 0, 1}, LinkLocal: netip.MustParseAddr("fe80::1"), MTU: 1500}
	querier = netip.MustParseAddr("fe80::9")
)

// solicited gives n groups in order.
func solicited(n int) []netip.Addr {
	gs := make([]netip.Addr, n)
	for i := range gs {
		gs[i] = netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: 1, 14: byte(i >> 8), 15: byte(i)})
	}
	return gs
}

// sent is one record of a report, or a report of version 1.
type sent struct {
	at    Time
	frame int // which one it was in
	what  string
	group netip.Addr
}

// lan is a listener, and what it has sent.
type lan struct {
	*Listener
	t      *testing.T
	now    Time
	frames [][]byte
	sent   []sent
}

func newLAN(t *testing.T, seed uint64, groups ...netip.Addr) *lan {
	l := &lan{Listener: New(seed), t: t, now: time.Hour}
	l.SetCard(l.now, us)
	l.set(groups...)
	return l
}

// settled has told of its groups, and is silent.
func settled(t *testing.T, seed uint64, groups ...netip.Addr) *lan {
	l := newLAN(t, seed, groups...)
	l.run(time.Minute)
	l.sent, l.frames = nil, nil
	return l
}

func (l *lan) tick() {
	l.t.Helper()
	l.Tick(l.now)
	for _, f := range l.Take() {
		l.frames = append(l.frames, f)
		l.sent = append(l.sent, l.read(f)...)
	}
	if w := l.Wake(); w <= l.now {
		l.t.Fatalf("due at %v, now is %v", w, l.now)
	}
}

// run lets time go by, with a call whenever one is due.
func (l *lan) run(d time.Duration) {
	l.t.Helper()
	end := l.now + d
	for {
		l.tick()
		if w := l.Wake(); w > end {
			break
		} else {
			l.now = w
		}
	}
	l.now = end
}

func (l *lan) set(groups ...netip.Addr) {
	l.t.Helper()
	l.Set(l.now, groups)
	l.tick()
}

func (l *lan) hear(q Query) {
	l.t.Helper()
	l.Heard(l.now, q)
	l.tick()
}

// read reads a report as RFC 3810 section 5.2 and RFC 2710 section 3 say it is.
func (l *lan) read(f []byte) (all []sent) {
	l.t.Helper()
	payload := int(binary.BigEndian.Uint16(f[18:]))
	dst := netip.AddrFrom16([16]byte(f[38:54]))
	m := f[62:]
	switch {
	case len(f) != 54+payload || f[12] != 0x86 || f[13] != 0xdd || f[14] != 0x60:
		l.t.Fatalf("not an IPv6 packet: %x", f)
	case neighbor.MAC(f) != (neighbor.MAC{0x33, 0x33, f[50], f[51], f[52], f[53]}) || neighbor.MAC(f[6:]) != us.MAC:
		l.t.Fatalf("Ethernet addresses %x", f[:12])
	case netip.AddrFrom16([16]byte(f[22:38])) != l.card.LinkLocal:
		l.t.Fatalf("source %x", f[22:38])
	case f[21] != 1 || f[20] != 0 || string(f[54:60]) != string([]byte{58, 0, 5, 2, 0, 0}):
		l.t.Fatalf("hop limit 1 and Router Alert: %x", f)
	case sum(f) != 0xffff:
		l.t.Fatalf("checksum %x", f)
	}
	add := func(what string, group []byte) {
		all = append(all, sent{l.now, len(l.frames), what, netip.AddrFrom16([16]byte(group))})
	}
	switch m[0] {
	case 143:
		n := int(binary.BigEndian.Uint16(m[6:]))
		if dst != netip.MustParseAddr("ff02::16") || len(m) != 8+20*n || len(f)-14 > max(l.card.MTU, 1280) {
			l.t.Fatalf("a report to %v, %d octets, %d records", dst, len(f), n)
		}
		for r := range slices.Chunk(m[8:], 20) {
			add([]string{2: "is", 3: "leave", 4: "join"}[r[0]], r[4:])
		}
	case 131:
		add("report", m[8:])
		if dst != all[0].group || len(m) != 24 {
			l.t.Fatalf("a report to %v: %x", dst, m)
		}
	case 132:
		add("done", m[8:])
		if dst != netip.MustParseAddr("ff02::2") || len(m) != 24 {
			l.t.Fatalf("a Done to %v: %x", dst, m)
		}
	default:
		l.t.Fatalf("type %d", m[0])
	}
	return all
}

// sum adds up what RFC 4443 section 2.3 says, with carry: all ones if the checksum is right.
func sum(f []byte) uint64 {
	b := slices.Concat(f[22:54], []byte{0, 0, f[18], f[19]}, []byte{0, 0, 0, 58}, f[62:])
	binary.BigEndian.PutUint16(b[34:], uint16(len(f)-62))
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	s := uint64(0)
	for ; len(b) > 0; b = b[2:] {
		s += uint64(b[0])<<8 + uint64(b[1])
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return s
}

// count gives how often what was sent of each group, and fails where anything else was.
func (l *lan) count(what string) map[netip.Addr]int {
	l.t.Helper()
	n := map[netip.Addr]int{}
	for _, s := range l.sent {
		if s.what != what {
			l.t.Fatalf("%s of %v at %v, want only %s", s.what, s.group, s.at, what)
		}
		n[s.group]++
	}
	return n
}

// wantEach wants each of the groups to have been sent that often, and nothing else.
func (l *lan) wantEach(what string, times int, groups ...netip.Addr) {
	l.t.Helper()
	got := l.count(what)
	for _, g := range groups {
		if got[g] != times {
			l.t.Errorf("%s of %v: %d times, want %d", what, g, got[g], times)
		}
	}
	if times > 0 && len(got) != len(groups) {
		l.t.Errorf("%s of %d groups, want %d", what, len(got), len(groups))
	}
}

func (l *lan) forgetSent() { l.sent, l.frames = nil, nil }

// seeds runs a test with several of them.
func seeds(t *testing.T, f func(t *testing.T, seed uint64)) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { f(t, seed) })
	}
}
