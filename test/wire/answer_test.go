// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestToolsAndKernelsResolveAVIP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	client.wantAnswer("")
	l.speak(n)
	client.wantAnswer(n.mac.String())
	for _, addr := range vips {
		client.talk(addr)
		eventually(t, time.Second, fmt.Sprintf("%v resolved, is %q", addr, client.entry(addr)), func() bool {
			return client.entry(addr) == "lladdr "+n.mac.String()+" REACHABLE"
		})
	}
	if c := n.Counters(); c.Replies < 4 || c.SendErrors != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestDuplicateAddressDetectionIsDefended(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	if out, err := client.run("arping", "-D", "-c", "2", "-w", "3", "-I", "eth0", vip4.String()); err == nil {
		t.Errorf("arping -D found %v free:\n%s", vip4, out)
	}
	client.sysctl("net.ipv6.conf.eth0.accept_dad=1")
	client.ip("addr add " + vip6.String() + "/64 dev eth0")
	eventually(t, 3*time.Second, "duplicate found", func() bool {
		return strings.Contains(client.ip("-6 addr show dev eth0"), "dadfailed")
	})
	probes := 0
	for len(n.heard) > 0 {
		if h := <-n.heard; h.Sound == neighbor.HeardProbe && h.MAC == client.mac {
			probes++
		}
	}
	if probes < 2 {
		t.Errorf("heard %d probes, want one of each family at least", probes)
	}
}

func TestRouterFlagReachesTheNeighbour(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	client.talk(vip6)
	eventually(t, time.Second, "resolved as a host", func() bool {
		return client.entry(vip6) == "lladdr "+n.mac.String()+" REACHABLE"
	})
	self := n.Table().Self()
	self.Router = true
	n.SetTable(neighbor.NewTable(self, []neighbor.Entry{{Addr: vip6, Voice: true}}))
	n.Claim(vip6)
	eventually(t, time.Second, "known as a router", func() bool {
		return strings.Contains(client.entry(vip6), "router")
	})
}

func TestShutGateIsSilent(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	n.hang()
	client.wantAnswer("")
	if c := n.Counters(); c.Drops[neighbor.DropLoopLate] == 0 || c.Replies != 0 {
		t.Errorf("counters %+v", c)
	}
	if sent := n.Claim(vip4) + n.Claim(vip6); sent != 0 {
		t.Errorf("claimed with %d frames", sent)
	}
	n.hung.Store(false)
	eventually(t, time.Second, "gate open", func() bool { return n.Claim(vip4) > 0 })
	client.wantAnswer(n.mac.String())
}

// The reader stalls on one frame; those the kernel queues meanwhile are too old by then.
func TestStaleFramesAreNotAnswered(t *testing.T) {
	l := newLab(t)
	client, asker, n := l.host("client"), l.node("node2"), l.node("node1")
	l.speak(n)
	var questions [][]byte
	for _, addr := range vips {
		q, ok := neighbor.Question(asker.Table().Self(), addr, n.mac, neighbor.OwnAddress, neighbor.Mark{})
		if !ok {
			t.Fatal("no question")
		}
		questions = append(questions, q)
	}
	n.stall.Store(int64(400 * time.Millisecond))
	for range 3 {
		if err := asker.Send(questions[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	eventually(t, time.Second, "the two behind the first dropped", func() bool {
		return n.Counters().Drops[neighbor.DropStale] == 2
	})
	if c := n.Counters(); c.Replies != 1 {
		t.Errorf("%d replies, want the first only", c.Replies)
	}
	for stale := 0; stale < 2; {
		if h := hear(t, n.heard, "a stale question"); h.Age > neighbor.FrameLimit {
			stale++
		}
	}
	client.wantAnswer(n.mac.String())
}

// Frames of a VLAN that has no interface here arrive on the card's own sockets with their
// tag gone, and are somebody else's. A tag of VLAN 0 is a priority and nothing else
// (IEEE 802.1Q).
func TestTaggedFramesOfAnotherVLANAreNotOurs(t *testing.T) {
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	self := neighbor.Self{MAC: client.mac, IPv4: vip4.Prev(), LinkLocal: netip.MustParseAddr("fe80::c")}
	for _, addr := range vips {
		q, ok := neighbor.Question(self, addr, n.mac, neighbor.OwnAddress, neighbor.Mark{})
		if !ok {
			t.Fatal("no question")
		}
		for _, tc := range []struct {
			tag  []byte
			want uint64
		}{{[]byte{0x81, 0, 0, 5}, 0}, {[]byte{0x81, 0, 0x20, 0}, 1}, {nil, 1}} {
			before := n.Counters()
			client.transmit(slices.Concat(q[:12], tc.tag, q[12:]))
			time.Sleep(50 * time.Millisecond)
			after := n.Counters()
			if requests, replies := after.Requests-before.Requests, after.Replies-before.Replies; requests != tc.want || replies != tc.want {
				t.Errorf("%v with tag %x: %d requests passed, %d replies, want %d", addr, tc.tag, requests, replies, tc.want)
			}
		}
	}
}

// From socket to socket: thousands of answers, and next to nothing allocated.
func TestAnsweringDoesNotAllocate(t *testing.T) {
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	const times = 2000
	for _, addr := range vips {
		q, ok := neighbor.Question(neighbor.Self{MAC: client.mac, LinkLocal: netip.MustParseAddr("fe80::c")},
			addr, n.mac, neighbor.ZeroSender, neighbor.Mark{})
		if !ok {
			t.Fatal("no question")
		}
		before, goal := runtime.MemStats{}, n.Counters().Replies+times
		runtime.ReadMemStats(&before)
		frames := slices.Repeat([][]byte{q}, times)
		eventually(t, 5*time.Second, "all answered", func() bool {
			missing := goal - min(goal, n.Counters().Replies) // at first all, then what a busy machine read too late
			client.transmit(frames[:missing]...)
			for end := time.Now().Add(200 * time.Millisecond); missing > 0 && n.Counters().Replies < goal && time.Now().Before(end); {
				time.Sleep(5 * time.Millisecond)
			}
			return n.Counters().Replies >= goal
		})
		after := runtime.MemStats{}
		runtime.ReadMemStats(&after)
		// What the test itself does is in the figure: the sender, its thread, the waiting.
		if got := after.Mallocs - before.Mallocs; got > times/4 {
			t.Errorf("%v: %d allocations for %d answers", addr, got, times)
		}
	}
}

// transmit sends frames as they are, with a breath between them for the receiver.
func (h *host) transmit(frames ...[]byte) {
	h.t.Helper()
	h.in(func() error {
		ifi, err := net.InterfaceByName(h.card)
		if err != nil {
			return err
		}
		c, err := packet.Listen(ifi, packet.Raw, 0, nil) // 0: receives nothing
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		var frame []byte
		var sent error
		send := func(fd uintptr) { _, sent = unix.Write(int(fd), frame) }
		for i := 0; i < len(frames) && err == nil && sent == nil; i++ {
			frame = frames[i]
			err = raw.Control(send)
			if i%32 == 31 {
				time.Sleep(time.Millisecond)
			}
		}
		return errors.Join(err, sent)
	})
}

// A request by unicast to another card, seen because this one is promiscuous.
func TestUnicastToAnotherCardIsNotOurs(t *testing.T) {
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	n.ip("link set eth0 promisc on")
	other := neighbor.MAC{2, 0, 0, 0, 0, 0x99}
	q, _ := neighbor.Question(neighbor.Self{MAC: client.mac, IPv4: vip4.Prev()}, vip4, other, neighbor.OwnAddress, neighbor.Mark{})
	for range 3 {
		client.transmit(q)
	}
	time.Sleep(100 * time.Millisecond)
	if c := n.Counters(); c.Drops[neighbor.DropNotToUs] != 0 || c.Requests != 0 {
		t.Errorf("passed the filter: %+v", c)
	}
}
