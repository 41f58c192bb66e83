// SPDX-License-Identifier: Apache-2.0

package wiretest_test

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/agent/wire/wiretest"
)

var (
	vip4  = netip.MustParseAddr("192.0.2.240")
	vip6  = netip.MustParseAddr("2001:db8::f0")
	macOf = [...]neighbor.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}}
)

// node is a port with what the loop above it would have.
type node struct {
	*wiretest.Port
	pulse *wire.Pulse
	heard chan wire.Heard
	n     int
}

func (n *node) speak(voice bool) {
	self := neighbor.Self{
		MAC: macOf[n.n], Incarnation: [8]byte{byte(n.n + 1)},
		IPv4:      netip.AddrFrom4([4]byte{192, 0, 2, byte(n.n + 1)}),
		LinkLocal: netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(n.n + 1)}),
	}
	n.SetTable(neighbor.NewTable(self, []neighbor.Entry{{Addr: vip4, Voice: voice}, {Addr: vip6, Voice: voice}}))
}

// on runs f in a bubble with three nodes of which the first speaks.
func on(t *testing.T, f func(*testing.T, *wiretest.Segment, []*node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := wiretest.NewSegment()
		var nodes []*node
		for i := range 3 {
			n := &node{pulse: &wire.Pulse{}, heard: make(chan wire.Heard, 16), n: i}
			n.Port = s.Plug(wire.Config{Interface: "eth0", Pulse: n.pulse, Heard: n.heard})
			n.speak(i == 0)
			n.pulse.Tick(s.Clock())
			go func() {
				if err := n.Run(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			nodes = append(nodes, n)
		}
		synctest.Wait()
		f(t, s, nodes)
	})
}

func wantAnswers(t *testing.T, s *wiretest.Segment, want ...neighbor.MAC) {
	t.Helper()
	for _, addr := range []netip.Addr{vip4, vip6} {
		if diff := cmp.Diff(want, s.Ask(addr)); diff != "" {
			t.Errorf("%v is answered for by (-want +got):\n%s", addr, diff)
		}
	}
}

func TestOneSpeakerOneAnswer(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		wantAnswers(t, s, macOf[0])
		nodes[1].speak(true)
		wantAnswers(t, s, macOf[0], macOf[1])
		if c := nodes[0].Counters(); c.Requests != 4 || c.Replies != 4 || c.Frames < 4 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestGateOfAPortShutsWithItsLoop(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		time.Sleep(neighbor.TickLimit + 1)
		wantAnswers(t, s)
		nodes[0].pulse.Tick(s.Clock())
		wantAnswers(t, s, macOf[0])
	})
}

func TestSplitFailedAndLossyPortsAreNotHeard(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		s.Split(nodes[0].Port)
		wantAnswers(t, s)
		s.Heal()
		wantAnswers(t, s, macOf[0])
		nodes[0].Fail(errors.New("no such device"))
		wantAnswers(t, s)
		nodes[0].Fail(nil)
		s.Lose(func(_, to *wiretest.Port, _ []byte) bool { return to == nodes[0].Port })
		wantAnswers(t, s)
		s.Lose(nil)
		wantAnswers(t, s, macOf[0])
	})
}

func TestPausedPortDoesNotAnswerStaleFrames(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		nodes[0].Pause()
		wantAnswers(t, s)
		time.Sleep(neighbor.FrameLimit + 1)
		nodes[0].Resume()
		if c := nodes[0].Counters(); c.Drops[neighbor.DropStale] != 2 || c.Replies != 0 {
			t.Errorf("counters %+v", c)
		}
		wantAnswers(t, s, macOf[0])
	})
}

func TestQuestionsAndAnswersOfPeersAreHeard(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		q, ok := neighbor.Question(nodes[1].Table().Self(), vip4, macOf[0], neighbor.OwnAddress, neighbor.Mark{Nonce: 3})
		if !ok {
			t.Fatal("no question")
		}
		if err := nodes[1].Send(q); err != nil {
			t.Fatal(err)
		}
		if h := <-nodes[0].heard; h.Sound != neighbor.HeardQuestion || h.MAC != macOf[1] || h.Interface != "eth0" {
			t.Errorf("the speaker heard %+v", h)
		}
		if h := <-nodes[1].heard; h.Sound != neighbor.HeardAnswer || !h.Marked || h.Mark.Nonce != 3 || h.MAC != macOf[0] {
			t.Errorf("the asker heard %+v", h)
		}
		if n := len(nodes[2].heard); n != 0 {
			t.Errorf("a third heard %d frames of two others", n)
		}
	})
}

func TestAnnouncementsAreHeardByAll(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		seen := 0
		s.Tap(func([]byte) { seen++ })
		nodes[0].Announce(vip4)
		synctest.Wait()
		for _, n := range nodes[1:] {
			for range 2 {
				if h := <-n.heard; h.Sound != neighbor.HeardClaim || !h.Marked || h.Addr != vip4 {
					t.Errorf("heard %+v", h)
				}
			}
		}
		if seen != 2 || nodes[0].Counters().Claims != 2 {
			t.Errorf("seen %d frames, counted %d claims", seen, nodes[0].Counters().Claims)
		}
		if n := nodes[1].Claim(vip4); n != 0 {
			t.Errorf("a port without a voice claimed with %d frames", n)
		}
		if n := nodes[0].ClaimTo(vip6, macOf[2]); n != 2 || len(nodes[1].heard) != 0 || len(nodes[2].heard) != 2 {
			t.Errorf("claimed to one card with %d frames, heard by others %d, by it %d", n, len(nodes[1].heard), len(nodes[2].heard))
		}
	})
}

func TestAFullChannelLosesAndCounts(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		for range 20 {
			nodes[0].Claim(vip4)
		}
		if c := nodes[1].Counters(); c.Heard != 16 || c.HeardLost != 24 {
			t.Errorf("heard %d, lost %d", c.Heard, c.HeardLost)
		}
	})
}
