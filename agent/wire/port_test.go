// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestNewValidatesAndStartsNothing(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no interface": {Pulse: &Pulse{}},
		"no pulse":     {Interface: "eth0"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p, err := New(Config{Interface: "eth0", Pulse: &Pulse{}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Ready() || p.String() != "port eth0" || p.Counters() != (Counters{}) {
		t.Errorf("%v: ready %v, %+v", p, p.Ready(), p.Counters())
	}
	if err := p.Send([]byte("frame")); !errors.Is(err, errDown) {
		t.Errorf("sending on a port that never ran: %v", err)
	}
	if n := p.Claim(one4); n != 0 {
		t.Errorf("claimed with %d frames", n)
	}
}

// An interface that is not there is a state, tried again with pauses, and no error of Run.
func TestPortWithoutItsInterfaceWaits(t *testing.T) {
	states := make(chan State, 10)
	p, err := New(Config{Interface: "no-such-if0", Pulse: &Pulse{}, Changed: func(s State) { states <- s }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	p.SetTable(neighbor.NewTable(neighbor.Self{}, []neighbor.Entry{{Addr: netip.MustParseAddr("2001:db8::1"), Voice: true}}))
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	if s := <-states; s.Up || s.Err == nil {
		t.Errorf("state %+v", s)
	}
	if s := <-states; s.Up || s.Err != nil {
		t.Errorf("state at the end %+v, want one change for all attempts and one for the end", s)
	}
	if n := p.Counters().Dials; n < 2 || n > 10 {
		t.Errorf("%d attempts in 500 ms", n)
	}
}

func TestPulse(t *testing.T) {
	var p Pulse
	if g := p.Gate(time.Second, 0); g.Tick != 0 || g.EchoUntil != 0 {
		t.Errorf("gate of a zero pulse %+v", g)
	}
	p.Tick(3 * time.Second)
	p.EchoUntil(5 * time.Second)
	want := neighbor.Gate{Now: 4 * time.Second, Tick: 3 * time.Second, EchoUntil: 5 * time.Second, FrameAge: 7}
	if g := p.Gate(4*time.Second, 7); g != want {
		t.Errorf("gate %+v, want %+v", g, want)
	}
	a, b := Boottime(), Boottime()
	if a <= 0 || b < a {
		t.Errorf("boot clock %v, then %v", a, b)
	}
}

func TestBucket(t *testing.T) {
	start := time.Now()
	b := &bucket{rate: 10, burst: 2, tokens: 2, at: start}
	if w := b.wait(start); w != 0 {
		t.Errorf("full bucket waits %v", w)
	}
	b.take(3)
	if w := b.wait(start); w != 100*time.Millisecond {
		t.Errorf("one token in debt: waits %v", w)
	}
	if w := b.wait(start.Add(time.Hour)); w != 0 || b.tokens != 2 {
		t.Errorf("after an hour: waits %v with %v tokens", w, b.tokens)
	}
}

func TestStrangersCannotCrowdOutPeers(t *testing.T) {
	heard := make(chan Heard, 8)
	stranger, peer := Heard{}, Heard{}
	peer.Marked = true
	offer := func(h Heard) (passed int) {
		for range 20 {
			if h.Offer(heard) {
				passed++
			}
		}
		return passed
	}
	if n := offer(stranger); n != 5 {
		t.Errorf("%d of strangers passed, want just above half of 8", n)
	}
	if n := offer(peer); n != 3 {
		t.Errorf("%d of peers passed, want the rest", n)
	}
	for range 2 { // room for two more than half
		<-heard
	}
	if n := offer(stranger); n != 0 {
		t.Errorf("%d of strangers passed beyond half", n)
	}
	if n := offer(Heard{Heard: neighbor.Heard{Sound: neighbor.HeardWitness}}); n != 2 {
		t.Errorf("%d of witnesses passed, want the rest", n)
	}
	if peer.Offer(nil) || stranger.Offer(nil) {
		t.Error("passed to nobody")
	}
}
