// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// answered pings three times and gives how many answers came. What a busy machine reads too
// late is not answered, so some but not all is a reason to ask again.
func (h *host) answered(addr netip.Addr, args ...string) string {
	h.t.Helper()
	for range 4 {
		if n := h.answeredOnce(addr, args...); n == "0" || n == "3" {
			return n
		}
	}
	return "some"
}

func (h *host) answeredOnce(addr netip.Addr, args ...string) string {
	h.t.Helper()
	out, _ := h.ping(addr, append([]string{"-c3", "-i0.2"}, args...)...)
	m := regexp.MustCompile(`3 packets transmitted, ([0-9]+) received`).FindStringSubmatch(out)
	if m == nil {
		h.t.Fatalf("ping %v says:\n%s", addr, out)
	}
	return m[1]
}

// The answer is what was asked, whatever its size, for as long as it is one frame; tcpdump finds
// nothing wrong with it, nor does ping.
func TestPingsOfAnySizeAreAnsweredAsTheyAre(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.pinged(true)
	l.known(n)
	stop := client.capture(n.mac.String())
	for _, addr := range vips {
		for _, size := range []int{0, 1, 56, 57, 1000, 1452} {
			if got := client.answered(addr, "-i0.01", "-s", fmt.Sprint(size), "-p", "a5"); got != "3" {
				t.Errorf("ping %v with %d octets: %s answers", addr, size, got)
			}
		}
		if got := client.answered(addr, "-s", "2000", "-W0.2"); got != "0" {
			t.Errorf("ping %v in fragments: %s answers", addr, got)
		}
	}
	replies := 0
	for _, p := range stop() {
		if p.says("echo reply") {
			replies++
		}
	}
	if replies < 2*6*3 {
		t.Errorf("tcpdump saw %d replies", replies)
	}
}

// A request that came over a router goes back by that router.
func TestPingOfAnotherSubnetIsAnsweredByItsRouter(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	router, far, n := l.host("router"), l.namespace("far"), l.node("node1")
	far.sysctl("net.ipv6.conf.default.accept_dad=0")
	router.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	far.ip("link add eth0 type veth peer name eth1 netns " + router.ns)
	far.ip("link set eth0 up")
	router.ip("link set eth1 up")
	for _, p := range []string{"198.51.100.%d/24", "2001:db8:1::%d/64"} {
		router.ip(fmt.Sprintf("addr add "+p+" dev eth1 ", 1))
		far.ip(fmt.Sprintf("addr add "+p+" dev eth0", 2))
	}
	far.ip("route add default via 198.51.100.1")
	far.ip("-6 route add default via 2001:db8:1::1")
	n.pinged(true)
	l.known(n)
	for _, addr := range vips {
		if got := far.answered(addr); got != "3" {
			t.Errorf("ping %v over a router: %s answers", addr, got)
		}
	}
}

// Who speaks for an address answers its pings, and nobody else: neither a standby nor a speaker
// whose gate is shut.
func TestPingIsAnsweredThroughTheGate(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	for _, addr := range vips {
		client.learns(addr, n.mac)
	}
	n.pinged(true)
	n.hang()
	for _, addr := range vips {
		if got := client.answered(addr); got != "0" {
			t.Errorf("ping %v through a shut gate: %s answers", addr, got)
		}
	}
	n.hung.Store(false)
	eventually(t, time.Second, "gate open", func() bool { return n.Claim(vip4) > 0 })
	for _, addr := range vips {
		if got := client.answered(addr); got != "3" {
			t.Errorf("ping %v: %s answers", addr, got)
		}
	}
	var es []neighbor.Entry
	for _, addr := range vips {
		es = append(es, neighbor.Entry{Addr: addr, Ping: true})
	}
	n.SetTable(neighbor.NewTable(n.Table().Self(), es))
	for _, addr := range vips {
		if got := client.answered(addr); got != "0" {
			t.Errorf("ping %v of a standby: %s answers", addr, got)
		}
	}
}
