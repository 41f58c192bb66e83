// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// promptly is how long a change of the kernel may take to be told.
const promptly = 200 * time.Millisecond

// soon makes a change and wants a picture of which f is true promptly after it.
func (w *watched) soon(args, what string, f func(link.Snapshot) bool) {
	w.t.Helper()
	w.ip(args)
	done := time.Now()
	w.until(what, f)
	if d := w.at.Sub(done); d > promptly {
		w.t.Errorf("%s: told %v after the change", what, d)
	}
}

func is(name, want string) func(link.Snapshot) bool {
	return func(s link.Snapshot) bool {
		got, _, _ := strings.Cut(refusal(s, name), ":")
		return got == want
	}
}

// An interface appears, is renamed, becomes a port, is a card of its own again, gets another
// MAC and another address, loses its cable and goes: each is told at once, and nothing else
// is told.
func TestHotPlugIsToldPromptly(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	w := watch(t, l.namespace("node1"))
	w.until("nothing", func(s link.Snapshot) bool { return len(s.Interfaces) == 0 })
	w.soon("link add eth0 type veth peer name node1 netns "+l.bench.ns, "appeared", is("eth0", "is down"))
	l.bench.ip("link set node1 master br0 up")
	w.ip("addr add 198.51.100.1/24 dev eth0") // without any it would be a pod's cable
	w.soon("link set eth0 up", "up", is("eth0", "accepted"))
	w.soon("addr add 192.0.2.1/24 dev eth0", "address", func(s link.Snapshot) bool {
		i, _ := s.Find("eth0")
		return len(i.Prefixes) == 2 && i.Prefixes[0] == netip.MustParsePrefix("192.0.2.1/24")
	})
	w.soon("addr del 192.0.2.1/24 dev eth0", "address gone", func(s link.Snapshot) bool {
		i, ok := s.Find("eth0")
		return ok && len(i.Prefixes) == 1
	})
	w.ip("link set eth0 down")
	w.soon("link set eth0 name eth7", "renamed", func(s link.Snapshot) bool {
		return refusal(s, "eth0") == "" && is("eth7", "is down")(s)
	})
	w.soon("link set eth7 up", "up again", is("eth7", "accepted"))
	w.soon("link add br1 type bridge", "a bridge", is("br1", "is down"))
	w.ip("link set br1 up")
	w.soon("link set eth7 master br1", "a port", func(s link.Snapshot) bool {
		return is("eth7", "is a port of br1")(s) && is("br1", "accepted")(s)
	})
	w.soon("link set eth7 nomaster", "a card of its own", is("eth7", "accepted"))
	// That a carrier is lost the kernel itself tells within a second (net/core/link_watch.c).
	w.until("no port, no carrier", is("br1", "has no carrier"))
	w.soon("link set eth7 address 02:00:00:00:00:77", "another MAC", func(s link.Snapshot) bool {
		i, _ := s.Find("eth7")
		return i.MAC == neighbor.MAC{2, 0, 0, 0, 0, 0x77}
	})
	w.soon("link set eth7 mtu 1400", "another MTU", func(s link.Snapshot) bool {
		i, _ := s.Find("eth7")
		return i.MTU == 1400
	})
	l.bench.ip("link set node1 down")
	w.until("no carrier", is("eth7", "has no carrier"))
	w.soon("link del eth7", "gone", func(s link.Snapshot) bool { return refusal(s, "eth7") == "" })
	if s, ok := w.quiet(300 * time.Millisecond); !ok {
		t.Errorf("told without a change: %+v", s)
	}
}

// A node has routes and neighbours by the thousand, and they come and go: that is no
// change of its interfaces.
func TestRoutesAndNeighboursAreNoChange(t *testing.T) {
	t.Parallel()
	w := watch(t, newLab(t).host("node1"))
	w.until("as it is", is("eth0", "accepted"))
	w.quiet(promptly)
	for i := range 20 {
		w.ip(fmt.Sprintf("route add 198.18.%d.0/24 dev eth0", i))
		w.ip(fmt.Sprintf("neigh add 192.0.2.%d lladdr 02:00:00:00:00:99 dev eth0 nud reachable", 100+i))
	}
	if s, ok := w.quiet(promptly); !ok {
		t.Errorf("told: %+v", s)
	}
}

// A port is there before its card. It opens when it is told that the card has come.
func TestPortWaitsForItsInterface(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.namespace("node1")
	w := watch(t, h)
	n := l.port(h)
	eventually(t, time.Second, "the port says why not", func() bool {
		s := n.State()
		return !s.Up && s.Err != nil && strings.Contains(s.Err.Error(), "interface eth0")
	})
	time.Sleep(time.Second) // the pauses between attempts have grown
	h.ip("link add eth0 type veth peer name node1 netns " + l.bench.ns)
	l.bench.ip("link set node1 master br0 up")
	h.ip("addr add 192.0.2.1/24 dev eth0")
	h.ip("link set eth0 up")
	w.accepted("eth0")
	n.speak()
	eventually(t, promptly, "up", n.Ready)
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", neighbor.SolicitedNode(vip6)))
	client.wantAnswer(n.mac.String())
}

// A card becomes a port of a bridge: from then on the bridge speaks, and the port on the
// card is deaf.
func TestBridgeSpeaksForAnEnslavedCard(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	client.wantAnswer(n.mac.String())
	before := n.Counters().Replies
	w := watch(t, &host{t: t, ns: n.ns})
	n.ip("link add br1 type bridge")
	n.ip("link set eth0 master br1")
	n.ip("link set br1 up")
	w.accepted("br1")
	master := l.speaks(client, w.host, "node1")
	if after := n.Counters().Replies; after != before || master.Counters().Replies < 2 {
		t.Errorf("the card replied %d times, its bridge %d times", after-before, master.Counters().Replies)
	}
}

// The card is renamed, and the port by its new name speaks.
func TestPortFollowsARenamedCard(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	client.wantAnswer(n.mac.String())
	w := watch(t, &host{t: t, ns: n.ns})
	n.ip("link set eth0 down")
	n.ip("link set eth0 name lan0")
	n.ip("link set lan0 up")
	w.accepted("lan0")
	n.SetTable(neighbor.NewTable(neighbor.Self{}, nil)) // as the agent does before it ends the port
	l.speaks(client, w.host, "node1")
}
