// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// said is an answer or claim of a peer of our epoch, standing and a higher MAC, as changed.
func said(change func(*neighbor.Heard)) neighbor.Heard {
	h := neighbor.Heard{
		Sound: neighbor.HeardClaim, Addr: vip4, MAC: otherMAC, Marked: true,
		Mark: neighbor.Mark{LeaseUID: epoch, Transitions: 7, Standing: neighbor.StandingLease},
	}
	change(&h)
	return h
}

func TestHigherVoiceEndsALowerOne(t *testing.T) {
	mine := entries()[0]
	wire := mine
	wire.Standing = neighbor.StandingWire
	mute := mine
	mute.Voice = false
	lower := neighbor.MAC{2}
	later := func(h *neighbor.Heard) { h.Mark.Transitions = 8 }
	for name, tc := range map[string]struct {
		heard neighbor.Heard
		entry neighbor.Entry
		over  bool
	}{
		"claim of a later epoch":   {said(later), mine, true},
		"answer of a later epoch":  {said(func(h *neighbor.Heard) { later(h); h.Sound = neighbor.HeardAnswer }), mine, true},
		"later, by wire standing":  {said(func(h *neighbor.Heard) { later(h); h.Mark.Standing = neighbor.StandingWire }), mine, true},
		"same epoch, lower MAC":    {said(func(h *neighbor.Heard) { h.MAC = lower }), mine, true},
		"same epoch, higher MAC":   {said(func(*neighbor.Heard) {}), mine, false},
		"same epoch, Lease":        {said(func(*neighbor.Heard) {}), wire, true},
		"same, wire and lower MAC": {said(func(h *neighbor.Heard) { h.MAC, h.Mark.Standing = lower, neighbor.StandingWire }), mine, false},
		"older epoch, lower MAC":   {said(func(h *neighbor.Heard) { h.MAC, h.Mark.Transitions = lower, 6 }), mine, false},
		"another Lease":            {said(func(h *neighbor.Heard) { later(h); h.Mark.LeaseUID[0] = 9 }), mine, false},
		"no mark":                  {said(func(h *neighbor.Heard) { later(h); h.Marked = false }), mine, false},
		"a question":               {said(func(h *neighbor.Heard) { later(h); h.Sound = neighbor.HeardQuestion }), mine, false},
		"leaving":                  {said(func(h *neighbor.Heard) { later(h); h.Sound = neighbor.HeardLeaving }), mine, false},
		"nothing to end":           {said(later), mute, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r neighbor.Rivals
			at := open().Now
			r.Hear(tc.heard, tc.entry, ourMAC, at)
			if got := r.Outrank(tc.entry, ourMAC, at+neighbor.RivalLimit-1); got != tc.over || neighbor.Outranks(tc.heard, tc.entry, ourMAC) != tc.over {
				t.Errorf("over %v, want %v", got, tc.over)
			}
			if r.Outrank(tc.entry, ourMAC, at+neighbor.RivalLimit) || r.Len() != 0 {
				t.Errorf("over for longer than the loop needs, %d remembered", r.Len())
			}
		})
	}
}

func TestHigherTableIsNotHeldBack(t *testing.T) {
	var r neighbor.Rivals
	mine, now := entries()[0], open().Now
	r.Hear(said(func(h *neighbor.Heard) { h.Mark.Transitions = 9 }), mine, ourMAC, now)
	// A lower one of the two says something later: the higher still counts.
	r.Hear(said(func(h *neighbor.Heard) { h.Mark.Transitions = 8 }), mine, ourMAC, now+1)
	for transitions, over := range map[uint32]bool{8: true, 9: false, 10: false} {
		next := mine
		next.Transitions = transitions
		card := neighbor.MAC{2} // lower than the rival's
		if got := r.Outrank(next, card, now+2); got != over {
			t.Errorf("epoch %d: over %v, want %v", transitions, got, over)
		}
	}
	other := mine
	other.Addr = vip6
	if r.Outrank(other, ourMAC, now+2) {
		t.Error("another address is silenced")
	}
}

// The gate is shut for answers and claims, by ARP and NDP, and for nothing else.
func TestHigherVoiceShutsTheGate(t *testing.T) {
	tab := table()
	var r neighbor.Rivals
	g := open()
	g.Rivals = &r
	for addr, frame := range map[netip.Addr][]byte{vip4: request().frame(t), vip6: solicit().frame(t)} {
		if v := tab.Decide(nil, frame, g); v.Drop != neighbor.DropNone {
			t.Fatalf("%v before: %v", addr, v.Drop)
		}
		claims, _ := peer().Claim(addr, open(), 1) // epoch 8
		entry, _ := tab.Lookup(addr)
		r.Hear(tab.Decide(nil, claims[0], g).Heard, entry, ourMAC, g.Now)
		if v := tab.Decide(nil, frame, g); v.Drop != neighbor.DropHigher || v.Reply != nil || !v.Drop.Gate() || !v.Question() {
			t.Errorf("%v after: %v", addr, v.Drop)
		}
		if _, ok := tab.Claim(addr, g, 1); ok {
			t.Errorf("%v claimed", addr)
		}
	}
	g.Now += neighbor.RivalLimit
	if v := tab.Decide(nil, request().frame(t), g); v.Drop != neighbor.DropNone {
		t.Errorf("when it is over: %v", v.Drop)
	}
}

func TestForgedVoicesTakeBoundedMemory(t *testing.T) {
	var r neighbor.Rivals
	const limit = 4096
	now := open().Now
	hear := func(i int, at time.Duration) neighbor.Entry {
		e := entries()[0]
		e.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		r.Hear(said(func(h *neighbor.Heard) { h.Mark.Transitions, h.Addr = 8, e.Addr }), e, ourMAC, at)
		return e
	}
	for i := range 2 * limit {
		hear(i, now)
	}
	if r.Len() != limit {
		t.Errorf("%d remembered, want %d", r.Len(), limit)
	}
	hear(0, now+neighbor.RivalLimit-1) // has the rest outlive its time
	if e := hear(limit+1, now+neighbor.RivalLimit); !r.Outrank(e, ourMAC, now+neighbor.RivalLimit) || r.Len() != 2 {
		t.Errorf("no room made for a new one, %d remembered", r.Len())
	}
}

func TestAskingForRivalsDoesNotAllocate(t *testing.T) {
	var r neighbor.Rivals
	tab, buf, frame := table(), make([]byte, 0, neighbor.ReplySize), request().frame(t)
	g := open()
	g.Rivals = &r
	for _, what := range []string{"nothing heard", "a rival"} {
		if n := testing.AllocsPerRun(1000, func() { tab.Decide(buf, frame, g) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
		r.Hear(said(func(h *neighbor.Heard) { h.Mark.Transitions = 8 }), entries()[0], ourMAC, g.Now)
	}
}
