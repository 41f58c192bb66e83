// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// packetSockets is how many packet sockets there are in the namespace.
func (h *host) packetSockets() int {
	h.t.Helper()
	out, err := h.run("cat", "/proc/net/packet")
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Count(out, "\n") - 1
}

// pinged has the VIPs answer echo requests, or not, and speaks for them.
func (n *node) pinged(ping bool) {
	var es []neighbor.Entry
	for _, a := range vips {
		es = append(es, neighbor.Entry{Addr: a, Voice: true, Ping: ping, Standing: neighbor.StandingLease})
	}
	n.SetTable(neighbor.NewTable(n.table(true).Self(), es))
	want := 3 // ARP, NDP, and one that is a member of the groups
	if ping {
		want = 5
	}
	eventually(n.t, time.Second, "as many sockets as needed", func() bool { return n.packetSockets() == want })
}

func (h *host) ping(addr netip.Addr, args ...string) (out string, ok bool) {
	out, err := h.run(append(append([]string{"ping", "-n", "-W", "1"}, args...), addr.String())...)
	return out, err == nil
}

func TestVIPAnswersPingWhereThePoolSaysSo(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.pinged(true)
	for _, addr := range vips {
		for _, size := range []string{"0", "1", "1400"} {
			if got := client.answered(addr, "-s", size); got != "3" {
				t.Errorf("ping of %v with %s octets: %s answers", addr, size, got)
			}
		}
	}
	if c := n.Counters(); c.EchoReplies < 18 || c.Replies < 2 {
		t.Errorf("counters %+v", c)
	}
	n.pinged(false)
	for _, addr := range vips {
		if out, ok := client.ping(addr, "-c", "1"); ok {
			t.Errorf("ping of %v without leave:\n%s", addr, out)
		}
	}
	client.wantAnswer(n.mac.String())
	n.pinged(true)
	if out, ok := client.ping(vip4, "-c", "1"); !ok {
		t.Errorf("ping of %v once more:\n%s", vip4, out)
	}
}

// What is not for the VIPs does not wake the port, whatever it is.
func TestTrafficOfTheNodeDoesNotWakeThePort(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.pinged(true)
	n.fitted(4)
	own := []netip.Addr{n.ipv4(), n.first(netip.Addr.IsGlobalUnicast)}
	for _, addr := range own {
		if out, ok := client.ping(addr, "-c", "1"); !ok { // the kernel's own answer
			t.Fatalf("ping of the node's %v:\n%s", addr, out)
		}
	}
	before := n.Counters()
	for _, addr := range own {
		_, _ = client.ping(addr, "-c", "20", "-i", "0.01")
		client.talk(addr)
	}
	after := n.Counters()
	if after.Echoes != before.Echoes || after.EchoLimited != before.EchoLimited {
		t.Errorf("echo requests for the node passed: %+v", after)
	}
}

// A flood of echo requests is answered in part, and ARP and NDP do not suffer.
func TestFloodOfPingsIsLimited(t *testing.T) {
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.pinged(true)
	if out, ok := client.ping(vip4, "-c", "1"); !ok {
		t.Fatal(out)
	}
	flooded := make(chan string)
	go func() {
		out, _ := client.run("ping", "-n", "-f", "-c", "6000", "-l", "500", "-w", "2", vip4.String())
		flooded <- out
	}()
	client.wantAnswer(n.mac.String())
	out := <-flooded
	c := n.Counters()
	if c.EchoLimited == 0 || c.EchoReplies > 4000 || c.EchoReplies < 200 {
		t.Errorf("%d answered, %d left out of\n%s", c.EchoReplies, c.EchoLimited, out)
	}
}
