// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// spaced checks when the packets were sent, counted from the first: at these moments, give
// or take what the machine is late, and after the last of them at least so far apart.
func spaced(t *testing.T, what string, packets []captured, at []time.Duration, apart time.Duration) {
	t.Helper()
	const early, late = 5 * time.Millisecond, 100 * time.Millisecond
	for i, p := range packets {
		d := p.at.Sub(packets[0].at)
		if i < len(at) {
			if d < at[i]-early || d > at[i]+late {
				t.Errorf("%s: number %d after %v, want %v", what, i, d, at[i])
			}
		} else if gap := p.at.Sub(packets[i-1].at); gap < apart-early || gap > apart+5*late {
			t.Errorf("%s: number %d comes %v behind the one before, want %v", what, i, gap, apart)
		}
	}
}

// A takeover as tcpdump sees it: the forms, flags, number and spacing of what is announced.
// RFC 5227 section 2.3, RFC 4861 section 7.2.6, RFC 9131 section 6.1.2.
func TestAnnouncementsOfATakeoverAsTcpdumpSeesThem(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	client.sysctl("net.ipv6.conf.eth0.forwarding=1") // a member of the routers' group
	eventually(t, 3*time.Second, "known to the bridge", l.knows("client", allRouters))
	stop := client.capture(n.mac.String())
	n.speak()
	n.Announce(vips...)
	rounds := neighbor.Rounds(true)
	time.Sleep(rounds[len(rounds)-1] + 400*time.Millisecond)
	var requests, replies, nodes, routers []captured
	announced := "Request who-has " + vip4.String() + " tell " + vip4.String() + ","
	for _, p := range stop() {
		if a, ok := readNA(t, p.frame); ok {
			wantAnnounced6(t, n.mac, p, a)
			if a.dst == allNodes {
				nodes = append(nodes, p)
			} else {
				routers = append(routers, p)
			}
			continue
		}
		if !p.says("ethertype ARP") {
			continue // MLD reports
		}
		to, from, a := readARP(t, p.frame)
		sha, tha := neighbor.MAC(a.SenderHardwareAddr), neighbor.MAC(a.TargetHardwareAddr)
		if to != neighbor.Broadcast() || from != n.mac || sha != n.mac || a.SenderIP != vip4 || a.TargetIP != vip4 {
			t.Errorf("not an announcement of %v at %v:\n%s", vip4, n.mac, p.text)
		}
		switch {
		case a.Operation == arp.OperationRequest && tha == neighbor.MAC{} && p.says(announced):
			requests = append(requests, p)
		case a.Operation == arp.OperationReply && tha == n.mac && p.says("Reply "+vip4.String()+" is-at "+n.mac.String()):
			replies = append(replies, p)
		default:
			t.Errorf("neither form of an announcement:\n%s", p.text)
		}
	}
	if len(requests) != 7 || len(replies) != 7 || len(nodes) != 5 || len(routers) != 5 {
		t.Fatalf("%d requests, %d replies, %d advertisements to all nodes, %d to all routers; want 7, 7, 5, 5",
			len(requests), len(replies), len(nodes), len(routers))
	}
	first := []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond}
	spaced(t, "requests", requests, first, 1100*time.Millisecond)
	spaced(t, "replies", replies, first, 1100*time.Millisecond)
	spaced(t, "to all nodes", nodes, first[:1], time.Second)
	spaced(t, "to all routers", routers, first[:1], time.Second)
}

// wantAnnounced6 checks an unsolicited advertisement of vip6.
func wantAnnounced6(t *testing.T, mac neighbor.MAC, p captured, a advertised) {
	t.Helper()
	flags := "Flags [override]"
	if a.dst == allRouters {
		flags = "Flags [none]"
	} else if a.dst != allNodes {
		t.Errorf("to %v:\n%s", a.dst, p.text)
	}
	if a.to != groupMAC(a.dst) || a.from != mac || a.hopLimit != 255 || a.Solicited || a.Override != (a.dst == allNodes) ||
		a.Router || a.TargetAddress != vip6 || !slices.Equal(a.target(), []string{mac.String()}) {
		t.Errorf("advertised %+v, %+v", a, a.NeighborAdvertisement)
	}
	if !p.says("neighbor advertisement", "tgt is "+vip6.String(), flags, "destination link-address option (2)", mac.String()) {
		t.Errorf("tcpdump says:\n%s", p.text)
	}
}

// Each kind of question and the one reply to it, as tcpdump sees it.
func TestRepliesAsTcpdumpSeesThem(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	me4, me6 := client.ipv4(), client.linkLocal()
	nothing, everyone := neighbor.MAC{}, neighbor.Broadcast()
	ask := func(frame []byte) captured {
		t.Helper()
		stop := client.capture(n.mac.String())
		before := n.Counters().Replies
		client.transmit(frame)
		eventually(t, time.Second, "a reply", func() bool { return n.Counters().Replies > before })
		var replies []captured
		for _, p := range stop() {
			if _, na := readNA(t, p.frame); na || p.says("ethertype ARP") {
				replies = append(replies, p)
			}
		}
		if len(replies) != 1 {
			t.Fatalf("%d replies", len(replies))
		}
		return replies[0]
	}
	for what, tc := range map[string]struct {
		to     neighbor.MAC
		sender netip.Addr
	}{
		"broadcast": {everyone, me4}, "unicast": {n.mac, me4},
		"probe": {everyone, none4}, "probe by unicast": {n.mac, none4},
	} {
		p := ask(arpFrame(tc.to, arp.OperationRequest, client.mac, tc.sender, nothing, vip4))
		to, from, a := readARP(t, p.frame)
		if to != client.mac || from != n.mac || a.Operation != arp.OperationReply || a.SenderIP != vip4 || a.TargetIP != tc.sender ||
			neighbor.MAC(a.SenderHardwareAddr) != n.mac || neighbor.MAC(a.TargetHardwareAddr) != client.mac {
			t.Errorf("%s: replied %+v", what, a)
		}
		if !p.says("Reply " + vip4.String() + " is-at " + n.mac.String()) {
			t.Errorf("%s: tcpdump says:\n%s", what, p.text)
		}
	}
	bare := &ndp.NeighborSolicitation{TargetAddress: vip6}
	for what, tc := range map[string]struct {
		question  []byte
		to        neighbor.MAC
		dst       netip.Addr
		solicited bool
		flags     string
	}{
		"multicast":                 {solicitation(client.mac, me6, vip6), client.mac, me6, true, "[solicited, override]"},
		"unicast without an option": {ndpFrame(n.mac, client.mac, me6, vip6, 255, bare), client.mac, me6, true, "[solicited, override]"},
		"duplicate address?":        {solicitation(client.mac, none6, vip6), groupMAC(allNodes), allNodes, false, "[override]"},
	} {
		p := ask(tc.question)
		a, _ := readNA(t, p.frame)
		if a.to != tc.to || a.from != n.mac || a.dst != tc.dst || a.hopLimit != 255 || a.Solicited != tc.solicited || !a.Override ||
			a.Router || a.TargetAddress != vip6 || !slices.Equal(a.target(), []string{n.mac.String()}) {
			t.Errorf("%s: replied %+v, %+v", what, a, a.NeighborAdvertisement)
		}
		if !p.says("tgt is "+vip6.String(), "Flags "+tc.flags, "destination link-address option (2), length 8 (1): "+n.mac.String()) {
			t.Errorf("%s: tcpdump says:\n%s", what, p.text)
		}
	}
}
