// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
)

// watched is a host whose links are watched.
type watched struct {
	*host
	told chan picture
	last link.Snapshot
	at   time.Time // when it was told
}

// picture is a snapshot and when it was told.
type picture struct {
	link.Snapshot
	at time.Time
}

func watch(t *testing.T, h *host) *watched {
	t.Helper()
	w := &watched{host: h, told: make(chan picture, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := h.enter()
		if err == nil {
			err = link.Watch(ctx, func(s link.Snapshot) { w.told <- picture{s, time.Now()} })
		}
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// until waits for a picture of which f is true.
func (w *watched) until(what string, f func(link.Snapshot) bool) {
	w.t.Helper()
	for timeout := time.After(3 * time.Second); !f(w.last); {
		select {
		case p := <-w.told:
			w.last, w.at = p.Snapshot, p.at
		case <-timeout:
			w.t.Fatalf("never told: %s; last %+v", what, w.last)
		}
	}
}

// quiet is false if something is told before d is over.
func (w *watched) quiet(d time.Duration) (link.Snapshot, bool) {
	select {
	case p := <-w.told:
		return p.Snapshot, false
	case <-time.After(d):
		return link.Snapshot{}, true
	}
}

// refusal is why the interface cannot carry a VIP; "accepted" if it can, "" if there is no
// word of it.
func refusal(s link.Snapshot, name string) string {
	if _, ok := s.Find(name); ok {
		return "accepted"
	}
	for _, r := range s.Refused {
		if r.Name == name {
			return r.Reason
		}
	}
	return ""
}

func TestChangesOfLinksAreTold(t *testing.T) {
	h := newLab(t).host("node1")
	w := watch(t, h)
	eth0 := func(f func(link.Interface) bool) func(link.Snapshot) bool {
		return func(s link.Snapshot) bool {
			i, ok := s.Find("eth0")
			return ok && f(i)
		}
	}
	w.until("the card as it is", eth0(func(i link.Interface) bool {
		return i.MAC == h.mac && i.MTU == 1500 && i.IPv4 == netip.MustParseAddr("192.0.2.1") && len(i.Prefixes) == 2 &&
			i.LinkLocal.IsValid() && !i.DefaultRoute4 && !i.DefaultRoute6 && !i.Router
	}))
	h.ip("route add default via 192.0.2.254")
	w.until("default route", eth0(func(i link.Interface) bool { return i.DefaultRoute4 }))
	h.ip("-6 route add default via 2001:db8::fe")
	w.until("default route of IPv6", eth0(func(i link.Interface) bool { return i.DefaultRoute6 }))
	h.ip("neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud stale")
	h.ip("neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev eth0 nud stale")
	h.ip("neigh add 192.0.2.8 lladdr 02:00:00:00:00:08 dev eth0 nud permanent")
	h.ip("-6 route add default via fe80::fe dev eth0 metric 2048")
	gateways := []netip.Addr{netip.MustParseAddr("2001:db8::fe"), netip.MustParseAddr("fe80::fe")}
	w.until("gateways, and the neighbour of that moment", eth0(func(i link.Interface) bool {
		return slices.Equal(i.Gateways4, []netip.Addr{netip.MustParseAddr("192.0.2.254")}) && slices.Equal(i.Gateways6, gateways) &&
			slices.Equal(i.Neighbors, []netip.Addr{netip.MustParseAddr("192.0.2.9")})
	}))
	h.sysctl("net.ipv6.conf.eth0.forwarding=1")
	w.until("forwarding", eth0(func(i link.Interface) bool { return i.Router }))
	h.ip("addr del 192.0.2.1/24 dev eth0")
	w.until("address and its route gone", eth0(func(i link.Interface) bool { return !i.IPv4.IsValid() && !i.DefaultRoute4 }))
	h.ip("link set eth0 address 02:00:00:00:00:77")
	w.until("another MAC", eth0(func(i link.Interface) bool { return i.MAC.String() == "02:00:00:00:00:77" }))
	h.ip("link set eth0 down")
	w.until("down", func(s link.Snapshot) bool { return strings.HasPrefix(refusal(s, "eth0"), "is down") })
	h.ip("link del eth0")
	w.until("gone", func(s link.Snapshot) bool { return refusal(s, "eth0") == "" })
}

func TestKindsOfLinks(t *testing.T) {
	h := newLab(t).host("node1")
	w := watch(t, h)
	for _, c := range []string{
		"link add br1 type bridge", "link set eth0 master br1", "link set br1 up",
		"link add ifb1 type ifb", "link set ifb1 up",
		"link add eth5 type veth peer name eth6", "link set eth5 up",
		"link add mv1 link br1 type macvlan mode bridge", "link set mv1 up",
	} {
		h.ip(c)
	}
	for name, want := range map[string]string{
		"lo": "", "eth0": "is a port of br1", "br1": "accepted", "mv1": "accepted", "eth5": "has no carrier", "eth6": "is down",
		"ifb1": "takes no part in address resolution (NOARP)",
	} {
		w.until(name+": "+want, func(s link.Snapshot) bool {
			got, _, _ := strings.Cut(refusal(s, name), ":")
			return got == want
		})
	}
}

// A pod's cable on the host: the other end is in another namespace, and it has no address.
func TestCablesOfPodsAreLeftOut(t *testing.T) {
	l := newLab(t)
	h, pod := l.host("node1"), l.namespace("pod")
	w := watch(t, h)
	h.ip("link add cable type veth peer name eth0 netns " + pod.ns)
	pod.ip("link set eth0 up")
	h.ip("link set cable up")
	h.ip("link add marker type veth peer name other")
	h.ip("link set marker up")
	h.ip("link set other up")
	w.until("what came after it", func(s link.Snapshot) bool { return refusal(s, "marker") == "accepted" })
	if got := refusal(w.last, "cable"); got != "" {
		t.Errorf("the pod's cable: %q", got)
	}
}
