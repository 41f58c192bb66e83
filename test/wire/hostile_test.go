// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// hostile is a frame that must not be answered, and why not. DropNone: the filter in the
// kernel drops it, and nobody is woken.
type hostile struct {
	what  string
	frame []byte
	drop  neighbor.Drop
}

// changed is a copy of the frame with these octets from at on.
func changed(frame []byte, at int, octets ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[at:], octets)
	return frame
}

// Where things are in a frame.
const (
	atARP, atIPv6, atICMP6 = 14, 14, 54
	atTarget               = atICMP6 + 8
)

func hostileARP(client *host, n *node) []hostile {
	me, nothing, everyone := client.ipv4(), neighbor.MAC{}, neighbor.Broadcast()
	q := arpFrame(everyone, arp.OperationRequest, client.mac, me, nothing, vip4)
	group := netip.MustParseAddr("224.0.0.1")
	return []hostile{
		{"an Ethernet header alone", q[:14], neighbor.DropNone},
		{"cut in the target", q[:atARP+27], neighbor.DropNone},
		{"addresses of other lengths", changed(q, atARP+4, 8, 16), neighbor.DropNone},
		{"other hardware", changed(q, atARP, 0, 6), neighbor.DropNone},
		{"no opcode", changed(q, atARP+6, 0, 0), neighbor.DropNone},
		{"another opcode", changed(q, atARP+6, 0, 9), neighbor.DropNone},
		{"a service tag", slices.Concat(q[:12], []byte{0x88, 0xa8, 0, 5}, q[12:]), neighbor.DropNone},
		{"a reply of nobody", arpFrame(everyone, arp.OperationReply, client.mac, none4, nothing, vip4), neighbor.DropNone},
		{"the sender's MAC is a group's", changed(q, atARP+8, 1), neighbor.DropSender},
		{"the sender's address is a group's", arpFrame(everyone, arp.OperationRequest, client.mac, group, nothing, vip4), neighbor.DropSender},
		{"in our own name", changed(q, atARP+8, n.mac[:]...), neighbor.DropOwn},
		{"a claim in our own name", changed(arpFrame(everyone, arp.OperationReply, n.mac, vip4, n.mac, vip4), 6, client.mac[:]...), neighbor.DropOwn},
	}
}

func hostileNDP(client *host, n *node) []hostile {
	me, group := client.linkLocal(), neighbor.SolicitedNode(vip6)
	to := n.mac // a bridge that snoops looks into what is sent to groups, and drops some of this
	ask := func(src netip.Addr, options ...ndp.Option) []byte {
		return ndpFrame(to, client.mac, src, group, 255, &ndp.NeighborSolicitation{TargetAddress: vip6, Options: options})
	}
	q := ask(me, linkOption(ndp.Source, client.mac))
	raw := func(message ...byte) []byte {
		return etherFrame(to, client.mac, ethernet.EtherTypeIPv6, ipv6Packet(me, group, 58, 255, message))
	}
	bare := ask(me)[atICMP6:][:24]
	solicited := ndpFrame(groupMAC(allNodes), client.mac, me, allNodes, 255, &ndp.NeighborAdvertisement{
		Solicited: true, TargetAddress: vip6, Options: []ndp.Option{linkOption(ndp.Target, client.mac)},
	})
	return []hostile{
		{"cut in the target", q[:atTarget+15], neighbor.DropNone},
		{"over a router", changed(q, atIPv6+7, 254), neighbor.DropNone},
		{"IPv4 in its clothes", changed(q, atIPv6, 0x45), neighbor.DropProtocol},
		{"longer than it is", changed(q, atIPv6+4, 0xff, 0xff), neighbor.DropTruncated},
		{"shorter than a solicitation", changed(q, atIPv6+4, 0, 23), neighbor.DropTruncated},
		{"of no length", changed(q, atIPv6+4, 0, 0), neighbor.DropTruncated},
		{"a wrong sum", changed(q, atICMP6+2, 1, 2), neighbor.DropChecksum},
		{"a code", withSum(changed(q, atICMP6+1, 1)), neighbor.DropMalformed},
		{"an option of length zero", withSum(raw(append(bare, 1, 0, 2, 0, 0, 0, 0, 9)...)), neighbor.DropOption},
		{"an option beyond the end", withSum(raw(append(bare, 253, 7, 0, 0, 0, 0, 0, 0)...)), neighbor.DropOption},
		{"half an option", withSum(raw(append(bare, 1)...)), neighbor.DropOption},
		{"nobody with a card", ask(none6, linkOption(ndp.Source, client.mac)), neighbor.DropMalformed},
		{"the sender is a group", ask(allNodes), neighbor.DropSender},
		{"the card is a group", ask(me, linkOption(ndp.Source, neighbor.MAC{1, 0, 0x5e, 0, 0, 1})), neighbor.DropSender},
		{"in our own name", ask(me, linkOption(ndp.Source, n.mac)), neighbor.DropOwn},
		{"a claim in our own name", changed(withSum(advertisement(n.mac, vip6, true)), 6, client.mac[:]...), neighbor.DropOwn},
		{"solicited by everyone", solicited, neighbor.DropMalformed},
	}
}

// withSum puts the checksum right.
func withSum(frame []byte) []byte {
	frame = changed(frame, atICMP6+2, 0, 0)
	size := int(frame[atIPv6+4])<<8 | int(frame[atIPv6+5])
	sum := uint32(58 + size)
	for i, b := range frame[atIPv6+8 : atICMP6+size] {
		if i%2 == 0 {
			sum += uint32(b) << 8
		} else {
			sum += uint32(b)
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return changed(frame, atICMP6+2, ^byte(sum>>8), ^byte(sum))
}

// Each thing that may not be answered has its reason counted, or is dropped in the kernel;
// and after all of them the port answers as before.
func TestHostileFramesAreDroppedByName(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	// A switch does not look into packets. A bridge does, if its kernel has br_netfilter.
	_, _ = l.bench.run("sysctl", "-q", "-w", "net.bridge.bridge-nf-call-ip6tables=0")
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	n.fitted(2)
	for _, tc := range append(hostileARP(client, n), hostileNDP(client, n)...) {
		before := n.Counters()
		const copies = 3
		client.transmit(slices.Repeat([][]byte{tc.frame}, copies)...)
		if tc.drop != neighbor.DropNone {
			eventually(t, time.Second, tc.what+": dropped as "+tc.drop.String(), func() bool {
				return n.Counters().Drops[tc.drop]-before.Drops[tc.drop] == copies
			})
		}
		time.Sleep(20 * time.Millisecond)
		after := n.Counters()
		passed := after.Frames - before.Frames
		if tc.drop == neighbor.DropNone && passed != 0 || tc.drop != neighbor.DropNone && passed != copies {
			t.Errorf("%s: %d passed the filter; %v", tc.what, passed, after.Drops)
		}
		if after.Replies != before.Replies || after.Sent != before.Sent {
			t.Errorf("%s: something was sent", tc.what)
		}
	}
	client.wantAnswer(n.mac.String())
	if c := n.Counters(); c.Dials != 1 || c.SendErrors != 0 || !n.Ready() {
		t.Errorf("counters %+v", c)
	}
}

// Jumbo frames are longer than any question. What lies within the first octets is answered,
// what is cut is dropped, and its length is nobody's memory.
func TestOversizedFrames(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	for _, h := range []*host{client, n.host} {
		h.ip("link set eth0 mtu 9000")
	}
	for _, port := range []string{"client", "node1"} {
		l.bench.ip("link set " + port + " mtu 9000")
	}
	l.speak(n)
	padding := make([]byte, 8000)
	before := n.Counters()
	client.transmit(append(arpFrame(neighbor.Broadcast(), arp.OperationRequest, client.mac, client.ipv4(), neighbor.MAC{}, vip4), padding...))
	eventually(t, time.Second, "answered", func() bool { return n.Counters().Replies == before.Replies+1 })
	message := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, vip6.AsSlice()...)
	for range 5 {
		message = append(append(message, 200, 200), make([]byte, 200*8-2)...) // an unknown option
	}
	group := neighbor.SolicitedNode(vip6)
	client.transmit(withSum(etherFrame(groupMAC(group), client.mac, ethernet.EtherTypeIPv6,
		ipv6Packet(client.linkLocal(), group, 58, 255, message))))
	eventually(t, time.Second, "dropped", func() bool {
		return n.Counters().Drops[neighbor.DropTruncated] == before.Drops[neighbor.DropTruncated]+1
	})
	client.wantAnswer(n.mac.String())
}

// spoofed are the claims of one who is in no secret: as a peer in a later epoch of this
// cluster, by that peer's card.
func spoofed(n, peer *node, key neighbor.Key) (frames [][]byte) {
	self := peer.Table().Self()
	self.Key = key
	var es []neighbor.Entry
	for _, addr := range vips {
		es = append(es, neighbor.Entry{Addr: addr, Voice: true, Transitions: 1 << 30, Standing: neighbor.StandingLease})
	}
	for _, addr := range vips {
		fs, ok := neighbor.NewTable(self, es).Claim(addr, n.pulse.Gate(wire.Boottime(), 0), 7)
		if !ok {
			n.t.Fatal("no claim")
		}
		frames = append(frames, fs...)
	}
	return frames
}

// Whatever is claimed on the wire, in nobody's name, in ours, in a peer's or in the
// gateway's: the speaker goes on. Only a peer that knows the secret is believed.
func TestSpoofedClaimsSilenceNobody(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, gateway, n, peer := l.host("client"), l.host("gateway"), l.node("node1"), l.node("node2")
	secret := neighbor.Key{'s', 'e', 'c', 'r', 'e', 't'}
	self := n.Table().Self()
	self.Key = secret
	es := []neighbor.Entry{{Addr: gateway.ipv4(), Witness: true}, {Addr: gateway.linkLocal(), Witness: true}}
	for _, addr := range vips {
		es = append(es, neighbor.Entry{Addr: addr, Voice: true, Transitions: 3, Standing: neighbor.StandingLease})
	}
	n.SetTable(neighbor.NewTable(self, es))
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", neighbor.SolicitedNode(vip6)))
	everyone := neighbor.Broadcast()
	claims := func(from neighbor.MAC, a4, a6 netip.Addr) [][]byte {
		return [][]byte{
			arpFrame(everyone, arp.OperationRequest, from, a4, neighbor.MAC{}, a4),
			arpFrame(everyone, arp.OperationReply, from, a4, from, a4),
			advertisement(from, a6, true),
		}
	}
	for _, tc := range []struct {
		what   string
		frames [][]byte
		heard  int // what the loop is told of; the switch keeps what is for routers from it
	}{
		{"a stranger", claims(client.mac, vip4, vip6), 3},
		{"in a peer's name, without a mark", claims(peer.mac, vip4, vip6), 3},
		{"in a peer's name, with another key", spoofed(n, peer, neighbor.Key{'g', 'u', 'e', 's', 's'}), 3},
		{"in a peer's name, without a key", spoofed(n, peer, neighbor.Key{}), 3},
		{"the gateway's address is here", claims(client.mac, gateway.ipv4(), gateway.linkLocal()), 0},
		{"the VIP is at the gateway", claims(gateway.mac, vip4, vip6), 3},
	} {
		client.transmit(tc.frames...)
		for range tc.heard {
			if h := hear(t, n.heard, tc.what); h.Sound != neighbor.HeardClaim || h.Marked {
				t.Errorf("%s: heard %+v", tc.what, h)
			}
		}
		if h, ok := quiet(n.heard); !ok {
			t.Errorf("%s: heard %+v as well", tc.what, h)
		}
		for _, addr := range vips {
			if n.Claim(addr) != 2 {
				t.Errorf("%s: it does not announce %v", tc.what, addr)
			}
		}
	}
	// The bridge saw the others' MACs behind the client's cable; they speak for themselves again.
	client.wantAnswer(n.mac.String())
	// With the key the same claims are believed: they could have been.
	client.transmit(spoofed(n, peer, secret)...)
	eventually(t, time.Second, "silenced by a peer", func() bool { return n.Claim(vip4) == 0 && n.Claim(vip6) == 0 })
}
