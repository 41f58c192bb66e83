// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// What a Linux neighbour does with what we send, and that it would do otherwise if a single
// field of it were different.

// at is the card that the host's kernel takes for the address's, "" for none.
func (h *host) at(addr netip.Addr) string {
	f := strings.Fields(h.entry(addr))
	if len(f) < 2 || f[0] != "lladdr" {
		return ""
	}
	return f[1]
}

// wantAt wants the kernel to take that card for the address's within a moment.
func (h *host) wantAt(addr netip.Addr, mac neighbor.MAC, what string) {
	h.t.Helper()
	for end := time.Now().Add(500 * time.Millisecond); h.at(addr) != mac.String(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("%s: the entry of %v is %q, want %v", what, addr, h.entry(addr), mac)
		}
	}
}

// wantStill wants the kernel to take that card for the address's, now that all that was sent
// has been received. mac is "" for none.
func (h *host) wantStill(addr netip.Addr, mac, what string) {
	h.t.Helper()
	time.Sleep(50 * time.Millisecond)
	if got := h.at(addr); got != mac {
		h.t.Errorf("%s: the entry of %v is %q, want %q", what, addr, h.entry(addr), mac)
	}
}

// learns has the kernel know that the address is at the card, as of now.
func (h *host) learns(addr netip.Addr, mac neighbor.MAC) {
	h.t.Helper()
	h.ip("neigh replace " + addr.String() + " lladdr " + mac.String() + " dev " + h.card + " nud reachable")
}

// locked has the kernel learn another card for the address, and sends the frame within the
// second for which Linux then locks the entry.
func (n *node) locked(client *host, addr netip.Addr, frame []byte) {
	n.t.Helper()
	for range 5 {
		start := time.Now()
		client.learns(addr, stranger)
		if err := n.Send(frame); err != nil {
			n.t.Fatal(err)
		}
		if time.Since(start) < 900*time.Millisecond {
			return
		}
	}
	n.t.Fatal("this machine is too slow to do two things in a second")
}

// claims are the frames of one round of announcement.
func (n *node) claims(addr netip.Addr) [][]byte {
	n.t.Helper()
	var frames [][]byte
	eventually(n.t, 3*time.Second, "an open gate", func() (ok bool) { // it shuts while the machine stands still
		frames, ok = n.Table().Claim(addr, n.pulse.Gate(wire.Boottime(), 0), 1)
		return ok
	})
	if len(frames) != 2 {
		n.t.Fatalf("%d frames", len(frames))
	}
	return frames
}

// RFC 826: who knows the sender takes its MAC from any packet. Each form does it alone, and at
// once, although Linux holds back other packets for a second after a change (locktime).
func TestEitherFormOfARPMovesTheEntryAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.speak()
	forms := n.claims(vip4)
	for i, form := range []string{"request", "reply"} {
		client.learns(vip4, stranger)
		if err := n.Send(forms[i]); err != nil {
			t.Fatal(err)
		}
		client.wantAt(vip4, n.mac, form)
	}
}

// The reply form is gratuitous to Linux only if its target MAC is the sender's as well.
// If not, it comes under the lock: it is dropped within a second of the last change.
func TestReplyFormNeedsItsOwnMACAsTarget(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	n.speak()
	reply := n.claims(vip4)[1]
	const target = 14 + 18
	if got := neighbor.MAC(reply[target:]); got != n.mac {
		t.Fatalf("target MAC %v", got)
	}
	for _, mac := range []neighbor.MAC{{}, neighbor.Broadcast(), client.mac} {
		other := slices.Clone(reply)
		copy(other[target:], mac[:])
		n.locked(client, vip4, other)
		client.wantStill(vip4, stranger.String(), "target "+mac.String())
	}
	if err := n.Send(reply); err != nil {
		t.Fatal(err)
	}
	client.wantAt(vip4, n.mac, "the form we send")
}

// locktime: an ordinary reply of another card is dropped for a second after a change. Rounds
// are further apart, so a round is never lost to the one before.
func TestRoundsAreFurtherApartThanTheLockOfAnEntry(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	out, err := client.run("sysctl", "-n", "net.ipv4.neigh.eth0.locktime") // in hundredths of a second
	if err != nil || strings.TrimSpace(out) != "100" {
		t.Fatalf("locktime %q, %v", out, err)
	}
	reply := arpFrame(client.mac, arp.OperationReply, n.mac, vip4, client.mac, client.ipv4())
	n.locked(client, vip4, reply)
	client.wantStill(vip4, stranger.String(), "within the lock")
	rounds := neighbor.Rounds(true)
	last := len(rounds) - 1
	time.Sleep(rounds[last] - rounds[last-1])
	if err := n.Send(reply); err != nil {
		t.Fatal(err)
	}
	client.wantAt(vip4, n.mac, "a round later")
}

// RFC 4861 section 7.2.5: without Override a receiver keeps the MAC that it has; section
// 7.2.6: an unsolicited advertisement changes entries, and makes none.
func TestAdvertisementNeedsOverrideToMoveAnEntry(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, fresh, n := l.host("client"), l.host("fresh"), l.node("node1")
	n.speak()
	client.learns(vip6, stranger)
	toNodes, toRouters := n.claims(vip6)[0], n.claims(vip6)[1]
	if err := n.Send(toRouters, advertisement(n.mac, vip6, false)); err != nil {
		t.Fatal(err)
	}
	client.wantStill(vip6, stranger.String(), "without Override")
	if err := n.Send(toNodes); err != nil {
		t.Fatal(err)
	}
	client.wantAt(vip6, n.mac, "with Override")
	fresh.wantStill(vip6, "", "never known")
}

// An announcement with the link-layer option of solicitations is heeded by nobody.
func TestAdvertisementNeedsTheTargetOption(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	client.learns(vip6, stranger)
	for what, options := range map[string][]ndp.Option{"no option": nil, "source option": {linkOption(ndp.Source, n.mac)}} {
		m := &ndp.NeighborAdvertisement{Override: true, TargetAddress: vip6, Options: options}
		if err := n.Send(ndpFrame(groupMAC(allNodes), n.mac, vip6, allNodes, 255, m)); err != nil {
			t.Fatal(err)
		}
		client.wantStill(vip6, stranger.String(), what)
	}
	if err := n.Send(advertisement(n.mac, vip6, true)); err != nil {
		t.Fatal(err)
	}
	client.wantAt(vip6, n.mac, "target option")
}

// RFC 9131: a router that is set to makes an entry from the advertisement to all routers. A
// host is no member of that group, and makes none.
func TestRouterLearnsANewAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	router, host, n := l.host("router"), l.host("host"), l.node("node1")
	router.sysctl("net.ipv6.conf.eth0.forwarding=1", "net.ipv6.conf.eth0.accept_untracked_na=1")
	n.speak()
	eventually(t, 3*time.Second, "known to the bridge", l.knows("router", allRouters))
	if err := n.Send(n.claims(vip6)[1]); err != nil {
		t.Fatal(err)
	}
	router.wantAt(vip6, n.mac, "to all routers")
	host.wantStill(vip6, "", "a host")
}

// The Router flag of each advertisement overwrites what the receiver knows, so ours is what
// the node's kernel says: set where it forwards, and clear where it no longer does.
func TestRouterFlagIsWhatTheReceiverBelieves(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	client.learns(vip6, n.mac)
	for i, router := range []bool{true, false, true} {
		self := n.Table().Self()
		self.Router = router
		n.SetTable(neighbor.NewTable(self, []neighbor.Entry{{Addr: vip6, Voice: true}}))
		eventually(t, time.Second, "claimed", func() bool { return n.Claim(vip6) == 2 })
		eventually(t, time.Second, "believed", func() bool { return strings.Contains(client.entry(vip6), "router") == router })
		if got := client.at(vip6); got != n.mac.String() {
			t.Errorf("number %d: the entry became %q", i, client.entry(vip6))
		}
	}
}

// The first announcement is lost on the way; a later one arrives. One only would leave the
// neighbours with an old entry until it ages.
func TestAnnouncementSurvivesTheLossOfItsFirstRounds(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	for _, addr := range vips {
		client.ip("neigh replace " + addr.String() + " lladdr " + stranger.String() + " dev eth0 nud stale")
	}
	port := func(state string) {
		if out, err := l.bench.run("bridge", "link", "set", "dev", "node1", "state", state); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const disabled, forwarding = "0", "3"
	port(disabled)
	n.speak()
	n.Announce(vips...)
	time.Sleep(500 * time.Millisecond)
	if n.Counters().Claims < 6 {
		t.Errorf("%d claims so far", n.Counters().Claims)
	}
	for _, addr := range vips {
		client.wantStill(addr, stranger.String(), "cut off")
	}
	port(forwarding)
	for _, addr := range vips {
		eventually(t, 2*time.Second, "a later round", func() bool { return client.at(addr) == n.mac.String() })
	}
}

// A card's new MAC is in what is said from then on, and moves the neighbours.
func TestNewMACOfACardMovesItsNeighbours(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	w := watch(t, &host{t: t, ns: n.ns})
	l.speak(n)
	for _, addr := range vips {
		client.talk(addr)
		client.wantAt(addr, n.mac, "resolved")
	}
	n.ip("link set eth0 address 02:00:00:00:00:77")
	w.accepted("eth0")
	w.until("another MAC", func(s link.Snapshot) bool {
		i, ok := s.Find("eth0")
		return ok && i.MAC != n.mac
	})
	n.renewed()
	for _, addr := range vips {
		client.wantAt(addr, n.mac, "announced")
	}
	client.wantAnswer("02:00:00:00:00:77")
}
