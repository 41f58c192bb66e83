// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// The segment of these tests. Frames are built and read with other people's codecs, so
// that a mistake in ours is not made twice.
var (
	ourMAC    = neighbor.MAC{0x02, 0, 0x5e, 0, 0x53, 0x01}
	peerMAC   = neighbor.MAC{0x02, 0, 0x5e, 0, 0x53, 0x02}
	clientMAC = neighbor.MAC{0x02, 0, 0x5e, 0, 0x53, 0x0c}
	otherMAC  = neighbor.MAC{0x02, 0, 0x5e, 0, 0x53, 0x0d}
	noMAC     = neighbor.MAC{}
	everyone  = neighbor.Broadcast()

	vip4     = netip.MustParseAddr("192.0.2.240")
	mute4    = netip.MustParseAddr("192.0.2.241") // known, no voice
	foreign4 = netip.MustParseAddr("192.0.2.99")  // not in the table
	client4  = netip.MustParseAddr("192.0.2.12")
	zero4    = netip.IPv4Unspecified()

	vip6     = netip.MustParseAddr("2001:db8::f0")
	mute6    = netip.MustParseAddr("2001:db8::f1")
	foreign6 = netip.MustParseAddr("2001:db8::99")
	client6  = netip.MustParseAddr("fe80::c")
	global6  = netip.MustParseAddr("2001:db8::c")
	zero6    = netip.IPv6Unspecified()
	nodes6   = netip.MustParseAddr("ff02::1")
	routers6 = netip.MustParseAddr("ff02::2")

	cluster = [8]byte{'c', 'l', 'u', 's', 't', 'e', 'r', '1'}
	epoch   = [16]byte{'l', 'e', 'a', 's', 'e'}
	secret  = neighbor.Key{'s', 'e', 'c', 'r', 'e', 't', 15: 1}
)

func self() neighbor.Self {
	return neighbor.Self{
		MAC: ourMAC, Cluster: cluster, Incarnation: [8]byte{1}, Key: secret,
		IPv4: netip.MustParseAddr("192.0.2.1"), LinkLocal: netip.MustParseAddr("fe80::1"),
	}
}

func entries() []neighbor.Entry {
	voice := neighbor.Entry{Voice: true, LeaseUID: epoch, Transitions: 7, Standing: neighbor.StandingLease}
	v4, v6 := voice, voice
	v4.Addr, v6.Addr = vip4, vip6
	return []neighbor.Entry{v4, v6, {Addr: mute4}, {Addr: mute6}}
}

func table() *neighbor.Table { return neighbor.NewTable(self(), entries()) }

// peer is the table of another agent of the cluster that speaks for the mute addresses
// and for ours.
func peer() *neighbor.Table {
	s := neighbor.Self{
		MAC: peerMAC, Cluster: cluster, Incarnation: [8]byte{2}, Key: secret,
		IPv4: netip.MustParseAddr("192.0.2.2"), LinkLocal: netip.MustParseAddr("fe80::2"),
	}
	var es []neighbor.Entry
	for _, a := range []netip.Addr{vip4, vip6, mute4, mute6} {
		es = append(es, neighbor.Entry{
			Addr: a, Voice: true, LeaseUID: epoch, Transitions: 8, Standing: neighbor.StandingWire,
		})
	}
	return neighbor.NewTable(s, es)
}

// open is a gate with nothing against an answer.
func open() neighbor.Gate {
	return neighbor.Gate{
		Now: 100 * time.Second, Tick: 100*time.Second - time.Millisecond, EchoUntil: 101 * time.Second,
		FrameAge: time.Millisecond,
	}
}

func decide(frame []byte) neighbor.Verdict { return table().Decide(nil, frame, open()) }

type arpFields struct {
	to, from neighbor.MAC // Ethernet
	op       arp.Operation
	sha      neighbor.MAC
	spa      netip.Addr
	tha      neighbor.MAC
	tpa      netip.Addr
	trailer  []byte
}

// request is a client asking everyone for vip4, as changed by the callers.
func request() arpFields {
	return arpFields{
		to: everyone, from: clientMAC, op: arp.OperationRequest,
		sha: clientMAC, spa: client4, tpa: vip4,
	}
}

func (f arpFields) frame(t testing.TB) []byte {
	t.Helper()
	p, err := arp.NewPacket(f.op, f.sha[:], f.spa, f.tha[:], f.tpa)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return etherFrame(t, f.to, f.from, ethernet.EtherTypeARP, append(b, f.trailer...))
}

func etherFrame(t testing.TB, to, from neighbor.MAC, typ ethernet.EtherType, payload []byte) []byte {
	t.Helper()
	b, err := (&ethernet.Frame{
		Destination: to[:], Source: from[:], EtherType: typ, Payload: payload,
	}).MarshalBinary() // pads to 60 octets
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type ndpFields struct {
	to, from neighbor.MAC
	src, dst netip.Addr
	message  ndp.Message
	raw      []byte // instead of message
	hopLimit uint8
	badSum   bool
	code     uint8
}

// solicit is a client asking for vip6 by multicast, as changed by the callers.
func solicit() ndpFields {
	return ndpFields{
		to: groupOf(solicitedNode(vip6)), from: clientMAC, src: client6, dst: solicitedNode(vip6),
		hopLimit: 255, message: solicitation(vip6, sourceLL(clientMAC)),
	}
}

func solicitation(target netip.Addr, o ...ndp.Option) *ndp.NeighborSolicitation {
	return &ndp.NeighborSolicitation{TargetAddress: target, Options: o}
}

func sourceLL(m neighbor.MAC) ndp.Option {
	return &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: m[:]}
}

func targetLL(m neighbor.MAC) ndp.Option {
	return &ndp.LinkLayerAddress{Direction: ndp.Target, Addr: m[:]}
}

func solicitedNode(a netip.Addr) netip.Addr {
	g, err := ndp.SolicitedNodeMulticast(a)
	if err != nil {
		panic(err)
	}
	return g
}

func groupOf(a netip.Addr) neighbor.MAC {
	b := a.As16()
	return neighbor.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

func (f ndpFields) frame(t testing.TB) []byte {
	t.Helper()
	b := f.raw
	if f.message != nil {
		var err error
		if b, err = ndp.MarshalMessage(f.message); err != nil {
			t.Fatal(err)
		}
	}
	b = bytes.Clone(b)
	b[1] = f.code
	binary.BigEndian.PutUint16(b[2:], 0)
	sum := referenceChecksum(f.src, f.dst, b)
	if f.badSum {
		sum++
	}
	binary.BigEndian.PutUint16(b[2:], sum)
	h := []byte{6 << 4, 0, 0, 0, byte(len(b) >> 8), byte(len(b)), 58, f.hopLimit}
	h = append(append(h, f.src.AsSlice()...), f.dst.AsSlice()...)
	return etherFrame(t, f.to, f.from, ethernet.EtherTypeIPv6, append(h, b...))
}

// referenceChecksum is RFC 1071 over the RFC 4443 pseudo-header, the slow way.
func referenceChecksum(src, dst netip.Addr, message []byte) uint16 {
	b := append(src.AsSlice(), dst.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(message)))
	b = append(b, 0, 0, 0, 58)
	b = append(b, message...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var sum uint64
	for i := 0; i < len(b); i += 2 {
		sum += uint64(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

type sentARP struct {
	to, from neighbor.MAC
	packet   arp.Packet
	mark     neighbor.Mark
}

func readARP(t testing.TB, frame []byte) sentARP {
	t.Helper()
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil {
		t.Fatalf("frame %x: %v", frame, err)
	}
	if f.EtherType != ethernet.EtherTypeARP {
		t.Fatalf("ethertype %#x", f.EtherType)
	}
	s := sentARP{to: neighbor.MAC(f.Destination), from: neighbor.MAC(f.Source)}
	if err := s.packet.UnmarshalBinary(f.Payload); err != nil {
		t.Fatal(err)
	}
	about := s.packet.SenderIP
	mac := neighbor.MAC(s.packet.SenderHardwareAddr)
	if s.packet.Operation == arp.OperationRequest {
		about = s.packet.TargetIP
	}
	s.mark, _ = neighbor.ParseMark(f.Payload[28:], about, mac, secret)
	return s
}

type sentNDP struct {
	to, from neighbor.MAC
	src, dst netip.Addr
	hopLimit uint8
	message  ndp.Message
	options  []ndp.Option
	mark     neighbor.Mark
}

func readNDP(t testing.TB, frame []byte) sentNDP {
	t.Helper()
	var f ethernet.Frame
	if err := f.UnmarshalBinary(frame); err != nil {
		t.Fatalf("frame %x: %v", frame, err)
	}
	if f.EtherType != ethernet.EtherTypeIPv6 {
		t.Fatalf("ethertype %#x", f.EtherType)
	}
	h, b := f.Payload[:40], f.Payload[40:]
	s := sentNDP{
		to: neighbor.MAC(f.Destination), from: neighbor.MAC(f.Source), hopLimit: h[7],
		src: netip.AddrFrom16([16]byte(h[8:24])), dst: netip.AddrFrom16([16]byte(h[24:40])),
	}
	if got := int(binary.BigEndian.Uint16(h[4:])); got != len(b) {
		t.Fatalf("payload length %d, frame has %d", got, len(b))
	}
	sum := binary.BigEndian.Uint16(b[2:])
	zeroed := bytes.Clone(b)
	zeroed[2], zeroed[3] = 0, 0
	if want := referenceChecksum(s.src, s.dst, zeroed); sum != want {
		t.Errorf("checksum %#x, want %#x", sum, want)
	}
	var err error
	if s.message, err = ndp.ParseMessage(b); err != nil {
		t.Fatal(err)
	}
	var target netip.Addr
	card := s.from
	switch m := s.message.(type) {
	case *ndp.NeighborSolicitation:
		s.options, target = m.Options, m.TargetAddress
	case *ndp.NeighborAdvertisement:
		s.options, target = m.Options, m.TargetAddress
	}
	for _, o := range s.options {
		switch o := o.(type) {
		case *ndp.LinkLayerAddress:
			card = neighbor.MAC(o.Addr)
		case *ndp.RawOption:
			if o.Type == 253 {
				s.mark, _ = neighbor.ParseMark(o.Value, target, card, secret)
			}
		}
	}
	return s
}

func (s sentNDP) advertisement(t testing.TB) *ndp.NeighborAdvertisement {
	t.Helper()
	na, ok := s.message.(*ndp.NeighborAdvertisement)
	if !ok {
		t.Fatalf("got %T, want an advertisement", s.message)
	}
	return na
}

func (s sentNDP) targetLL() net.HardwareAddr {
	for _, o := range s.options {
		if l, ok := o.(*ndp.LinkLayerAddress); ok && l.Direction == ndp.Target {
			return l.Addr
		}
	}
	return nil
}
