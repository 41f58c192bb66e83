// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// ask sends an unmarked question for each address, as any host would.
func (h *host) ask(to neighbor.MAC, addrs ...netip.Addr) {
	h.t.Helper()
	self := neighbor.Self{MAC: h.mac, IPv4: h.ipv4(), LinkLocal: h.linkLocal()}
	var frames [][]byte
	for _, a := range addrs {
		q, ok := neighbor.Probe(self, a, to)
		if !ok {
			h.t.Fatalf("no question for %v", a)
		}
		frames = append(frames, q)
	}
	h.transmit(frames...)
}

// fitted waits until the filters are those of the table.
func (n *node) fitted(more uint64) {
	n.t.Helper()
	eventually(n.t, 2*time.Second, "filters attached", func() bool { return n.Counters().Filters >= more })
	// Those of a table that came before may be counted too.
	eventually(n.t, 2*time.Second, "no more of them", func() bool {
		before := n.Counters().Filters
		time.Sleep(150 * time.Millisecond)
		return n.Counters().Filters == before
	})
}

func TestFramesAboutOthersDoNotWakeThePort(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.fitted(2)
	others := []netip.Addr{
		vip4.Prev(), vip4.Next(), n.ipv4(), vip6.Prev(), vip6.Next(), n.linkLocal(),
		netip.MustParseAddr("2001:db8:1::f0:240"),
	}
	before := n.Counters().Frames
	client.ask(n.mac, slices.Concat(others, others)...)
	client.ask(n.mac, vip4) // behind them
	eventually(t, time.Second, "the last question", func() bool { return n.Counters().Frames > before })
	time.Sleep(50 * time.Millisecond)
	if got := n.Counters().Frames - before; got != 1 {
		t.Errorf("%d frames passed, want that about %v alone", got, vip4)
	}
}

// From the moment in which SetTable returns, whatever filter was there before.
func TestNewAddressIsHeardAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.speak()
	n.fitted(2)
	var others []netip.Addr
	for i := range 20 {
		a4, a6 := vip4.As4(), vip6.As16()
		a4[3], a6[15] = byte(100+i), byte(100+i)
		others = append(others, netip.AddrFrom4(a4), netip.AddrFrom16(a6))
		table, before := n.table(true, others...), n.Counters()
		n.SetTable(table)
		client.ask(n.mac, others[len(others)-2:]...)
		eventually(t, time.Second, "both heard", func() bool { return n.Counters().Requests == before.Requests+2 })
		if i%5 == 0 {
			n.fitted(before.Filters + 1)
		}
	}
	n.fitted(n.Counters().Filters)
	before := n.Counters().Requests
	client.ask(n.mac, others...)
	eventually(t, time.Second, "all heard", func() bool { return n.Counters().Requests == before+uint64(len(others)) })
}

// Thousands of addresses without order, and little room for the options of a socket: all
// are heard.
func TestFilterOfThousandsInLittleRoom(t *testing.T) {
	l := newLab(t)
	client := l.host("client")
	for _, room := range []string{"131072", "20480", "3000", "100"} {
		n := l.node("n" + room)
		n.sysctl("net.core.optmem_max=" + room) // of this namespace, since Linux 6.8
		var many []netip.Addr
		for i := range 1500 {
			many = append(many,
				netip.AddrFrom4([4]byte{10, byte(i * 7), byte(i * 31), byte(i >> 3)}),
				netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i * 7), 13: byte(i * 31), 14: byte(i >> 3), 15: byte(i)}))
		}
		var es []neighbor.Entry
		for _, a := range many {
			es = append(es, neighbor.Entry{Addr: a})
		}
		before := n.Counters()
		n.SetTable(neighbor.NewTable(n.table(false).Self(), es))
		if room != "100" {
			n.fitted(before.Filters + 1)
		}
		time.Sleep(300 * time.Millisecond)
		client.ask(n.mac, many...)
		eventually(t, 5*time.Second, "all heard with room "+room, func() bool {
			return n.Counters().Requests == before.Requests+uint64(len(many))
		})
	}
}

// What waits too long behind a reader that stalls is lost, and that is known.
func TestOverflowOfTheQueueIsCounted(t *testing.T) {
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.speak()
	n.stall.Store(int64(time.Second))
	client.ask(n.mac, slices.Repeat([]netip.Addr{vip4}, 20000)...)
	eventually(t, 3*time.Second, "overflow counted", func() bool { return n.Counters().Overflows > 0 })
	for name, count := range n.Counters().Dropped() {
		if name == "queue_full" && count == 0 {
			t.Error("the overflow has no name")
		}
	}
	eventually(t, 3*time.Second, "the queue is read", func() bool {
		before := n.Counters().Frames
		time.Sleep(50 * time.Millisecond)
		return n.Counters().Frames == before
	})
	client.wantAnswer(n.mac.String())
}

func TestCardIsNeverPromiscuous(t *testing.T) {
	t.Parallel()
	n := newLab(t).node("node1")
	es := []neighbor.Entry{{Addr: vip4, Voice: true, Ping: true}, {Addr: vip6, Voice: true, Ping: true}}
	n.SetTable(neighbor.NewTable(n.Table().Self(), es))
	eventually(t, time.Second, "five sockets", func() bool { return n.packetSockets() == 5 })
	if out := n.ip("-d link show dev eth0"); !strings.Contains(out, "promiscuity 0") {
		t.Errorf("the card is\n%s", out)
	}
}

func TestStateOfAPortNamesTheRemedy(t *testing.T) {
	t.Parallel()
	n := newLab(t).node("node1")
	n.ip("link set eth0 down")
	eventually(t, time.Second, "how to set the interface up", func() bool {
		s := n.State()
		return !s.Up && s.Err != nil && strings.Contains(s.Err.Error(), "ip link set dev eth0 up")
	})
	n.ip("link del eth0")
	eventually(t, 2*time.Second, "that there is none", func() bool {
		s := n.State()
		return !s.Up && s.Err != nil && strings.Contains(s.Err.Error(), "this node has no interface eth0 now")
	})
}
