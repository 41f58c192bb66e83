// SPDX-License-Identifier: Apache-2.0

package wiretest_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/wiretest"
)

var (
	gateway4 = netip.MustParseAddr("192.0.2.254")
	gateway6 = netip.MustParseAddr("fe80::fe")
	gateway  = neighbor.MAC{2, 0, 0, 0, 0, 0xfe}
)

// probe has the node ask for the addresses of the gateway and gives those it is answered for.
func (n *node) probe(t *testing.T) []netip.Addr {
	t.Helper()
	self := n.Table().Self()
	n.SetTable(neighbor.NewTable(self, []neighbor.Entry{
		{Addr: gateway4, Witness: true}, {Addr: gateway6, Witness: true}, {Addr: vip4}, {Addr: vip6},
	}))
	for _, addr := range []netip.Addr{gateway4, gateway6} {
		frame, ok := neighbor.Probe(self, addr, gateway)
		if !ok {
			t.Fatal("no probe")
		}
		if err := n.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	var heard []netip.Addr
	for len(n.heard) > 0 {
		if h := <-n.heard; h.Sound != neighbor.HeardWitness || h.MAC != gateway {
			t.Errorf("heard %+v", h)
		} else {
			heard = append(heard, h.Addr)
		}
	}
	return heard
}

func TestHostAnswersForItselfWithoutAMark(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		host := s.Host(gateway, gateway4, gateway6)
		time.Sleep(time.Minute) // it has no loop that could be late
		var answers [][]byte
		s.Tap(func(frame []byte) {
			if neighbor.MAC(frame[6:12]) == gateway {
				answers = append(answers, append([]byte(nil), frame...))
			}
		})
		both := []netip.Addr{gateway4, gateway6}
		if diff := cmp.Diff(both, nodes[1].probe(t), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("answered for (-want +got):\n%s", diff)
		}
		if len(answers) != 2 || len(answers[0]) != 14+28 || len(answers[1]) != 14+40+32 {
			t.Fatalf("answers % x", answers)
		}
		// The checksum is right, or the node had not heard it; the options others read.
		m, err := ndp.ParseMessage(answers[1][14+40:])
		if na, ok := m.(*ndp.NeighborAdvertisement); err != nil || !ok || !na.Solicited || len(na.Options) != 1 {
			t.Errorf("advertisement %+v, %v", m, err)
		}
		s.Split(host)
		if got := nodes[1].probe(t); len(got) != 0 {
			t.Errorf("split off, it answers for %v", got)
		}
	})
}

func TestCutsArePerPair(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		ask := func(from int, to neighbor.MAC) bool {
			q, _ := neighbor.Question(nodes[from].Table().Self(), vip4, to, neighbor.OwnAddress, neighbor.Mark{})
			if err := nodes[from].Send(q); err != nil {
				t.Fatal(err)
			}
			answered := false
			for len(nodes[from].heard) > 0 {
				h := <-nodes[from].heard
				answered = answered || h.Sound == neighbor.HeardAnswer
			}
			return answered
		}
		want := func(what string, unicast, broadcast bool) {
			t.Helper()
			if got := ask(1, macOf[0]); got != unicast {
				t.Errorf("%s: answered by unicast %v", what, got)
			}
			if got := ask(1, neighbor.Broadcast()); got != broadcast {
				t.Errorf("%s: answered by broadcast %v", what, got)
			}
			if !ask(2, neighbor.Broadcast()) {
				t.Errorf("%s: a third is cut off too", what)
			}
		}
		s.CutBroadcast(nodes[0].Port, nodes[1].Port)
		want("broadcast cut", true, false)
		s.Cut(nodes[1].Port, nodes[0].Port)
		want("cut", false, false)
		s.Heal()
		want("healed", true, true)
	})
}

// Two voices hear each other's claims: the lower falls silent before any loop knows.
func TestLowerVoiceIsSilentAtOnce(t *testing.T) {
	on(t, func(t *testing.T, s *wiretest.Segment, nodes []*node) {
		nodes[1].speak(true)
		nodes[0].Claim(vip4) // the lower MAC: it is the higher voice
		if diff := cmp.Diff([]neighbor.MAC{macOf[0]}, s.Ask(vip4)); diff != "" {
			t.Errorf("answered for by (-want +got):\n%s", diff)
		}
		if n := nodes[1].Claim(vip4); n != 0 {
			t.Errorf("the lower voice claims with %d frames", n)
		}
		time.Sleep(neighbor.RivalLimit)
		synctest.Wait()
		if got := len(s.Ask(vip4)); got != 2 {
			t.Errorf("%d answers after what its loop had time for", got)
		}
	})
}
