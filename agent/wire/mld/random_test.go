// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"maps"
	"net/netip"
	"testing"
	"time"
)

// router is what a querier and a switch know by what they hear, RFC 3810 section 7 without sources
// and without timers.
type router map[netip.Addr]bool

func (r router) hear(s sent) {
	switch s.what {
	case "leave", "done":
		delete(r, s.group)
	default:
		r[s.group] = true
	}
}

// script drives a listener by the octets, and checks what must always hold.
func script(t *testing.T, seed uint64, octets []byte) {
	g := solicited(200)
	l := &lan{Listener: New(seed), t: t, now: time.Hour}
	knows := router{}
	heard := 0
	want := []netip.Addr{}
	next := func() int {
		if len(octets) == 0 {
			return 0
		}
		b := octets[0]
		octets = octets[1:]
		return int(b)
	}
	for len(octets) > 0 {
		switch op := next(); op % 8 {
		case 0, 1:
			from, n := next()%200, next()%200
			want = g[from:min(200, from+n)]
			l.set(want...)
		case 2:
			l.hear(Query{Version: 1 + next()%2, Delay: Time(next()*next()) * time.Millisecond, Robustness: next() % 8})
		case 3:
			l.hear(Query{Version: 1 + next()%2, Delay: Time(next()*next()) * time.Millisecond, Group: g[next()%200], Interval: Time(next()) * time.Second})
		case 4:
			card := us
			if next()%2 == 0 {
				card.LinkLocal = netip.Addr{}
			}
			card.MTU = 100 * next()
			l.SetCard(l.now, card)
			l.tick()
		case 5:
			l.Again(l.now)
			l.tick()
		default:
			l.run(Time(next()*next()) * time.Millisecond)
		}
		for ; heard < len(l.sent); heard++ {
			knows.hear(l.sent[heard])
		}
		if n := len(l.groups); n > 200 || len(l.answers) > 400 || l.timers.Len() > 200 || l.Len() != len(want) {
			t.Fatalf("%d groups, %d answers, %d timers, %d members", n, len(l.answers), l.timers.Len(), l.Len())
		}
	}
	l.SetCard(l.now, us)
	l.tick()
	l.run(24 * time.Hour) // the querier of version 1 is forgotten, all is told
	if w := l.Wake(); w != Never || len(l.groups) != len(want) {
		t.Errorf("not silent: due at %v, %d groups, %d wanted", w, len(l.groups), len(want))
	}
	for ; heard < len(l.sent); heard++ {
		knows.hear(l.sent[heard])
	}
	// A change of version may have cancelled the repeats of a change, never its first report.
	all := router{}
	for _, a := range want {
		all[a] = true
	}
	if !maps.Equal(knows, all) {
		t.Errorf("the switch knows %d groups, %d are wanted", len(knows), len(all))
	}
	l.forgetSent()
	l.hear(Query{Version: 2, Delay: time.Second})
	l.run(time.Minute)
	l.wantEach("is", 1, want...)
}

// Whatever happens in whatever order, the switch knows the groups in the end.
func TestRandomLANs(t *testing.T) {
	for seed := range uint64(300) {
		r := random(seed)
		octets := make([]byte, 400)
		for i := range octets {
			octets[i] = byte(r.next())
		}
		script(t, seed, octets)
	}
}

func FuzzListener(f *testing.F) {
	f.Add(uint64(1), []byte{0, 0, 199, 6, 100, 100, 2, 1, 10, 10, 0, 6, 255, 255})
	f.Add(uint64(2), []byte{4, 1, 15, 0, 0, 199, 2, 0, 0, 0, 0, 6, 1, 1, 0, 9, 9, 4, 0, 0, 0, 50, 50, 4, 1, 90, 5})
	f.Fuzz(func(t *testing.T, seed uint64, octets []byte) {
		if len(octets) > 2000 {
			return
		}
		script(t, seed, octets)
	})
}
