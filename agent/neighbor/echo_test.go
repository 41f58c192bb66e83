// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// echoFields is an echo request; what is changed in the packet is changed after the
// checksums were made.
type echoFields struct {
	to, from neighbor.MAC
	src, dst netip.Addr
	typ      icmp.Type
	code     int
	data     []byte
	class    uint8
	hops     uint8
	id       int              // IPv4 identification
	flags    ipv4.HeaderFlags // IPv4
	offset   int              // IPv4 fragment offset
	options  []byte           // IPv4
	next     uint8            // IPv6 next header
	packet   func([]byte)     // changes the IP packet
	padding  int
}

func ping4() echoFields {
	return echoFields{
		to: ourMAC, from: clientMAC, src: client4, dst: vip4, typ: ipv4.ICMPTypeEcho,
		data: []byte("abcdefghijklmnop"), hops: 61, id: 4711, flags: ipv4.DontFragment,
	}
}

func ping6() echoFields {
	return echoFields{
		to: ourMAC, from: clientMAC, src: global6, dst: vip6, typ: ipv6.ICMPTypeEchoRequest,
		data: []byte("abcdefghijklmnop"), hops: 61, next: 58,
	}
}

func (f echoFields) frame(t testing.TB) []byte {
	t.Helper()
	var psh []byte
	if f.src.Is6() {
		psh = icmp.IPv6PseudoHeader(f.src.AsSlice(), f.dst.AsSlice())
	}
	message, err := (&icmp.Message{Type: f.typ, Code: f.code, Body: &icmp.Echo{ID: 77, Seq: 5, Data: f.data}}).Marshal(psh)
	if err != nil {
		t.Fatal(err)
	}
	if f.src.Is6() {
		packet := []byte{6<<4 | f.class>>4, f.class<<4 | 3, 2, 1, 0, 0, f.next, f.hops}
		binary.BigEndian.PutUint16(packet[4:], uint16(len(message)))
		packet = append(append(append(packet, f.src.AsSlice()...), f.dst.AsSlice()...), message...)
		return f.ether(t, ethernet.EtherTypeIPv6, packet)
	}
	h := ipv4.Header{
		Version: 4, Len: 20 + len(f.options), TOS: int(f.class), TotalLen: 20 + len(f.options) + len(message), ID: f.id,
		Flags: f.flags, FragOff: f.offset, TTL: int(f.hops), Protocol: 1, Options: f.options,
		Src: f.src.AsSlice(), Dst: f.dst.AsSlice(),
	}
	b, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(b[10:], referenceSum(b))
	return f.ether(t, ethernet.EtherTypeIPv4, append(b, message...))
}

func (f echoFields) ether(t testing.TB, typ ethernet.EtherType, packet []byte) []byte {
	t.Helper()
	if f.packet != nil {
		f.packet(packet)
	}
	return etherFrame(t, f.to, f.from, typ, append(packet, bytes.Repeat([]byte{0xaa}, f.padding)...))
}

// pinged is the table whose voices are pinged, and the mute addresses as well.
func pinged() *neighbor.Table {
	es := entries()
	for i := range es {
		es[i].Ping = true
	}
	return neighbor.NewTable(self(), es)
}

type sentEcho struct {
	to, from    neighbor.MAC
	src, dst    netip.Addr
	class, hops int
	id          int
	flags       ipv4.HeaderFlags
	echo        icmp.Echo
}

// readEcho reads an echo reply, and checks what every one has.
func readEcho(t testing.TB, frame []byte) sentEcho {
	t.Helper()
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil {
		t.Fatalf("frame %x: %v", frame, err)
	}
	s := sentEcho{to: neighbor.MAC(f.Destination), from: neighbor.MAC(f.Source)}
	b, proto := f.Payload, 1
	switch f.EtherType {
	case ethernet.EtherTypeIPv4:
		h, err := ipv4.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Len != 20 || h.TotalLen != len(b) || h.Protocol != 1 || h.FragOff != 0 || h.Flags&ipv4.MoreFragments != 0 {
			t.Errorf("header %v of a packet of %d octets", h, len(b))
		}
		if sum := referenceSum(b[:20]); sum != 0 {
			t.Errorf("header checksum is off by %#x", sum)
		}
		if sum := referenceSum(b[20:]); sum != 0 {
			t.Errorf("ICMP checksum is off by %#x", sum)
		}
		s.src, s.dst = addrOf(t, h.Src), addrOf(t, h.Dst)
		s.class, s.hops, s.id, s.flags = h.TOS, h.TTL, h.ID, h.Flags
		b = b[20:]
	case ethernet.EtherTypeIPv6:
		h, err := ipv6.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if h.PayloadLen != len(b)-40 || h.NextHeader != 58 || h.FlowLabel != 0 {
			t.Errorf("header %v of a packet of %d octets", h, len(b))
		}
		s.src, s.dst = addrOf(t, h.Src), addrOf(t, h.Dst)
		s.class, s.hops = h.TrafficClass, h.HopLimit
		b, proto = b[40:], 58
		zeroed := bytes.Clone(b)
		zeroed[2], zeroed[3] = 0, 0
		if got, want := binary.BigEndian.Uint16(b[2:]), referenceChecksum(s.src, s.dst, zeroed); got != want {
			t.Errorf("ICMPv6 checksum %#x, want %#x", got, want)
		}
	default:
		t.Fatalf("ethertype %#x", f.EtherType)
	}
	m, err := icmp.ParseMessage(proto, b)
	if err != nil {
		t.Fatal(err)
	}
	if (m.Type != ipv4.ICMPTypeEchoReply && m.Type != ipv6.ICMPTypeEchoReply) || m.Code != 0 {
		t.Fatalf("type %v, code %d", m.Type, m.Code)
	}
	s.echo = *m.Body.(*icmp.Echo)
	return s
}

func addrOf(t testing.TB, ip net.IP) netip.Addr {
	t.Helper()
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		t.Fatalf("%v is no address", ip)
	}
	return a.Unmap()
}

// referenceSum is RFC 1071, the slow way.
func referenceSum(b []byte) uint16 {
	var sum uint64
	for i, x := range b {
		sum += uint64(x) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// RFC 792: the addresses are reversed, the type is changed, and the data returned. RFC 4443
// section 4.2: the source is what was asked, identifier, sequence number and data are the
// request's, all of them.
func TestEchoRequestsAreAnswered(t *testing.T) {
	for _, size := range []int{0, 1, 16, 17, 56, 1472, 8000} {
		for name, f := range map[string]echoFields{"ICMP": ping4(), "ICMPv6": ping6()} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				f.data = bytes.Repeat([]byte{0xc5}, size)
				v := pinged().Decide(nil, f.frame(t), open())
				if v.Drop != neighbor.DropNone || !v.Echo || v.Addr != f.dst {
					t.Fatalf("verdict %v, echo %v, about %v", v.Drop, v.Echo, v.Addr)
				}
				wantSilence(t, v)
				got := readEcho(t, v.Reply)
				if got.to != clientMAC || got.from != ourMAC || got.src != f.dst || got.dst != f.src {
					t.Errorf("sent %+v", got)
				}
				if got.hops != 64 || got.echo.ID != 77 || got.echo.Seq != 5 || !bytes.Equal(got.echo.Data, f.data) {
					t.Errorf("hops %d, id %d, seq %d, %d octets", got.hops, got.echo.ID, got.echo.Seq, len(got.echo.Data))
				}
			})
		}
	}
}

func TestEchoReplyEndsWhereThePacketDoes(t *testing.T) {
	for name, f := range map[string]echoFields{"ICMP": ping4(), "ICMPv6": ping6()} {
		f.data = nil
		bare := len(f.frame(t)) // padded to 60 octets
		f.padding = 100
		frame := f.frame(t)
		v := pinged().Decide(nil, frame, open())
		if v.Reply == nil || len(v.Reply) > bare || bytes.Contains(v.Reply, []byte{0xaa}) {
			t.Errorf("%s: %v, a reply of %d octets to a frame of %d", name, v.Drop, len(v.Reply), len(frame))
		}
	}
}

// The card that sent the frame may be a router's: the reply goes there, whatever the source.
func TestEchoReplyGoesToTheCardThatAsked(t *testing.T) {
	f4, f6 := ping4(), ping6()
	f4.src, f6.src = netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:9::9")
	for _, f := range []echoFields{f4, f6} {
		f.from = otherMAC
		got := readEcho(t, pinged().Decide(nil, f.frame(t), open()).Reply)
		if got.to != otherMAC || got.dst != f.src {
			t.Errorf("sent to %v for %v", got.to, got.dst)
		}
	}
}

// RFC 1349 section 5.1 for the class, RFC 3168 for the bits of it that are not copied,
// RFC 6864 for the identification.
func TestEchoReplyHasTheClassAndIdentificationOfTheRequest(t *testing.T) {
	for _, flags := range []ipv4.HeaderFlags{0, ipv4.DontFragment} {
		f4, f6 := ping4(), ping6()
		f4.class, f6.class, f4.flags = 0xbb, 0xbb, flags
		if got := readEcho(t, pinged().Decide(nil, f4.frame(t), open()).Reply); got.class != 0xb8 || got.id != 4711 || got.flags != flags {
			t.Errorf("class %#x, identification %d, flags %v", got.class, got.id, got.flags)
		}
		if got := readEcho(t, pinged().Decide(nil, f6.frame(t), open()).Reply); got.class != 0xb8 {
			t.Errorf("class %#x", got.class)
		}
	}
}

func TestEchoRequestsThatAreNotAnswered(t *testing.T) {
	type refused struct {
		v4, v6 func(*echoFields) // nil: there is no such thing
		want   neighbor.Drop
	}
	both := func(change func(*echoFields), want neighbor.Drop) refused { return refused{change, change, want} }
	packet := func(change func([]byte)) func(*echoFields) { return func(f *echoFields) { f.packet = change } }
	from := func(a string) func(*echoFields) { return func(f *echoFields) { f.src = netip.MustParseAddr(a) } }
	to := func(a string) func(*echoFields) { return func(f *echoFields) { f.dst = netip.MustParseAddr(a) } }
	next := func(n uint8) func(*echoFields) { return func(f *echoFields) { f.next = n } }
	for name, tc := range map[string]refused{
		"to another card":    both(func(f *echoFields) { f.to = otherMAC }, neighbor.DropNotToUs),
		"Ethernet broadcast": both(func(f *echoFields) { f.to = everyone }, neighbor.DropNotToUs),
		"Ethernet group":     both(func(f *echoFields) { f.to = groupOf(nodes6) }, neighbor.DropNotToUs),
		"from our card":      both(func(f *echoFields) { f.from = ourMAC }, neighbor.DropOwn),
		"from no card":       both(func(f *echoFields) { f.from = noMAC }, neighbor.DropSender),
		"from a group":       both(func(f *echoFields) { f.from = everyone }, neighbor.DropSender),

		"to an address not in the table": {to("192.0.2.99"), to("2001:db8::99"), neighbor.DropUnknown},
		"to an address without a voice":  {to("192.0.2.241"), to("2001:db8::f1"), neighbor.DropNoVoice},
		"to the broadcast address":       {to("255.255.255.255"), nil, neighbor.DropUnknown},
		"to a multicast group":           {to("224.0.0.1"), to("ff02::1"), neighbor.DropUnknown},

		"from an address of the table": {from("192.0.2.241"), from("2001:db8::f1"), neighbor.DropSender},
		"from the address itself":      {from("192.0.2.240"), from("2001:db8::f0"), neighbor.DropSender},
		"from unspecified":             {from("0.0.0.0"), from("::"), neighbor.DropSender},
		"from this network":            {from("0.0.0.9"), nil, neighbor.DropSender},
		"from a multicast group":       {from("239.1.2.3"), from("ff02::1"), neighbor.DropSender},
		"from the broadcast address":   {from("255.255.255.255"), nil, neighbor.DropSender},
		"from loopback":                {from("127.0.0.1"), from("::1"), neighbor.DropSender},
		"from IPv4 in IPv6":            {nil, from("::ffff:192.0.2.12"), neighbor.DropSender},

		"first fragment":   {func(f *echoFields) { f.flags = ipv4.MoreFragments }, nil, neighbor.DropFragment},
		"later fragment":   {func(f *echoFields) { f.offset = 185 }, nil, neighbor.DropFragment},
		"fragment header":  {nil, next(44), neighbor.DropProtocol},
		"hop-by-hop":       {nil, next(0), neighbor.DropProtocol},
		"options":          {func(f *echoFields) { f.options = []byte{1, 1, 1, 0} }, nil, neighbor.DropOption},
		"another version":  both(packet(func(b []byte) { b[0] = 0x55 }), neighbor.DropProtocol),
		"short header":     {packet(func(b []byte) { b[0] = 0x44 }), nil, neighbor.DropMalformed},
		"UDP":              {packet(func(b []byte) { b[9] = 17 }), next(17), neighbor.DropProtocol},
		"code":             both(func(f *echoFields) { f.code = 1 }, neighbor.DropMalformed),
		"header checksum":  {packet(func(b []byte) { b[8]++ }), nil, neighbor.DropChecksum},
		"message checksum": both(packet(func(b []byte) { b[len(b)-1]++ }), neighbor.DropChecksum),
		"echo reply": {
			func(f *echoFields) { f.typ = ipv4.ICMPTypeEchoReply },
			func(f *echoFields) { f.typ = ipv6.ICMPTypeEchoReply }, neighbor.DropProtocol,
		},
		"longer than the frame": {packet(func(b []byte) { b[2]++ }), packet(func(b []byte) { b[4]++ }), neighbor.DropTruncated},
		"no room for an echo":   {packet(func(b []byte) { b[3] = 27 }), packet(func(b []byte) { b[5] = 7 }), neighbor.DropTruncated},
	} {
		for _, f := range []struct {
			echoFields
			change func(*echoFields)
		}{{ping4(), tc.v4}, {ping6(), tc.v6}} {
			if f.change == nil {
				continue
			}
			f.change(&f.echoFields)
			t.Run(fmt.Sprintf("%s/%v", name, f.typ), func(t *testing.T) {
				v := pinged().Decide(nil, f.frame(t), open())
				wantDrop(t, v, tc.want)
				wantSilence(t, v)
				if v.Echo {
					t.Error("no reply, but an echo")
				}
			})
		}
	}
}

func TestEchoTruncatedIsDropped(t *testing.T) {
	for name, f := range map[string]echoFields{"ICMP": ping4(), "ICMPv6": ping6()} {
		f.data = make([]byte, 32)
		frame := f.frame(t)
		for n := range frame {
			if v := pinged().Decide(nil, frame[:n], open()); v.Drop != neighbor.DropTruncated || v.Reply != nil {
				t.Errorf("%s cut to %d octets: %v", name, n, v.Drop)
			}
		}
	}
}

func TestEchoIsAnsweredOnlyWherePingIsWanted(t *testing.T) {
	for _, f := range []echoFields{ping4(), ping6()} {
		v := table().Decide(nil, f.frame(t), open())
		wantDrop(t, v, neighbor.DropNoPing)
		if v.Addr != f.dst || v.Question() {
			t.Errorf("about %v, a question: %v", v.Addr, v.Question())
		}
	}
}

// A gateway pings what it routes to, and is listened for as a witness.
func TestEchoRequestOfAWitnessIsAnswered(t *testing.T) {
	es := []neighbor.Entry{{Addr: vip4, Voice: true, Ping: true}, {Addr: client4, Witness: true}}
	if v := neighbor.NewTable(self(), es).Decide(nil, ping4().frame(t), open()); !v.Echo {
		t.Errorf("not answered: %v", v.Drop)
	}
}

func TestEchoIsAnsweredThroughTheGate(t *testing.T) {
	for _, f := range []echoFields{ping4(), ping6()} {
		g := open()
		g.FrameAge = time.Second
		wantDrop(t, pinged().Decide(nil, f.frame(t), g), neighbor.DropStale)
		g = open()
		g.Tick = 0
		wantDrop(t, pinged().Decide(nil, f.frame(t), g), neighbor.DropLoopLate)
		muted := neighbor.NewTable(self(), []neighbor.Entry{{Addr: f.dst, Voice: true, Ping: true, Muted: true}})
		wantDrop(t, muted.Decide(nil, f.frame(t), open()), neighbor.DropNoVoice)
	}
}

// With a buffer of the frame's size the reply needs no other.
func TestEchoDoesNotAllocate(t *testing.T) {
	tab := pinged()
	for _, f := range []echoFields{ping4(), ping6()} {
		f.data = make([]byte, 1400)
		frame := f.frame(t)
		buf := make([]byte, 0, len(frame))
		if n := testing.AllocsPerRun(1000, func() { tab.Decide(buf, frame, open()) }); n != 0 {
			t.Errorf("%v: %v allocations", f.typ, n)
		}
	}
}
