// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Each parser is held against somebody else's: what it takes they take, and read alike;
// what it refuses has a reason that can be named.

var (
	fuzzSelf = Self{
		MAC: MAC{2, 0, 0, 0, 0, 1}, Cluster: [8]byte{'c'}, Incarnation: [8]byte{1}, Key: Key{'k'},
		IPv4: netip.MustParseAddr("192.0.2.1"), LinkLocal: netip.MustParseAddr("fe80::1"),
	}
	fuzz4 = netip.MustParseAddr("192.0.2.240")
	fuzz6 = netip.MustParseAddr("2001:db8::f0")
)

// seeds are the payloads of all that agents send about an address.
func seeds(addr netip.Addr) [][]byte {
	var all [][]byte
	table := NewTable(fuzzSelf, []Entry{{Addr: addr, Voice: true}})
	frames, _ := table.Claim(addr, Gate{Now: 1, Tick: 1}, 7)
	for _, form := range []Form{OwnAddress, ZeroSender} {
		q, _ := Question(fuzzSelf, addr, Broadcast(), form, Mark{Nonce: 1})
		frames = append(frames, q)
	}
	p, _ := Probe(fuzzSelf, addr, Broadcast())
	for _, f := range append(frames, p) {
		all = append(all, f[etherSize:])
	}
	return all
}

func FuzzParseARP(f *testing.F) {
	for _, b := range seeds(fuzz4) {
		f.Add(b)
		f.Add(b[:arpSize-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, drop := parseARP(b)
		var want arp.Packet
		err := want.UnmarshalBinary(b)
		possible := err == nil && want.HardwareType == 1 && want.ProtocolType == 0x0800 &&
			want.HardwareAddrLength == 6 && want.IPLength == 4 && (want.Operation == 1 || want.Operation == 2) &&
			want.SenderHardwareAddr[0]&1 == 0 && !bytes.Equal(want.SenderHardwareAddr, make([]byte, 6)) &&
			!want.SenderIP.IsMulticast() &&
			(!want.SenderIP.IsUnspecified() || want.Operation == 1 && !want.TargetIP.IsUnspecified())
		if (drop == DropNone) != possible {
			t.Fatalf("%v for %+v, %v", drop, want, err)
		}
		if drop != DropNone {
			return
		}
		if got.op != uint16(want.Operation) || got.sender != want.SenderIP || got.target != want.TargetIP ||
			!bytes.Equal(got.senderMAC[:], want.SenderHardwareAddr) || !bytes.Equal(got.targetMAC[:], want.TargetHardwareAddr) ||
			!bytes.Equal(got.trailer, b[28:]) {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func FuzzParseNDP(f *testing.F) {
	for _, b := range seeds(fuzz6) {
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(b[:ipv6Size])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b) // the fuzzer's own is not to be written to
		repair6(b)
		got, drop := parseNDP(b)
		if drop == DropNone {
			drop = got.check()
		}
		h, err := ipv6.ParseHeader(b)
		if err != nil || h.Version != 6 || h.NextHeader != 58 || h.PayloadLen > len(b)-40 || h.PayloadLen == 0 {
			if drop == DropNone {
				t.Fatalf("taken: %v, %v", h, err)
			}
			return
		}
		want, err := ndp.ParseMessage(b[40 : 40+h.PayloadLen])
		var target netip.Addr
		var options []ndp.Option
		switch m := want.(type) {
		case *ndp.NeighborSolicitation:
			target, options = m.TargetAddress, m.Options
		case *ndp.NeighborAdvertisement:
			target, options = m.TargetAddress, m.Options
			if drop == DropNone && (m.Router != (got.flags&flagRouter != 0) || m.Solicited != (got.flags&flagSolicited != 0)) {
				t.Errorf("flags %#x of %+v", got.flags, m)
			}
		default:
			// Its codec refuses options of known types whose contents are wrong, where
			// RFC 4861 section 4.6 has a receiver heed only the length.
			if drop == DropNone && err == nil {
				t.Fatalf("taken: %T", want)
			}
			return
		}
		switch {
		case drop != DropNone:
			if drop == DropTruncated || drop == DropOption || drop == DropProtocol {
				t.Errorf("%v for %+v", drop, want)
			}
		case h.HopLimit != 255 || got.target != target || target.IsMulticast():
			t.Errorf("taken with hop limit %d: %+v for %+v", h.HopLimit, got, want)
		default:
			source, targetLL := linkOptions(options)
			if !bytes.Equal(got.source[:], source) && source != nil || !bytes.Equal(got.targetLL[:], targetLL) && targetLL != nil {
				t.Errorf("%+v for %+v", got, options)
			}
		}
	})
}

// linkOptions gives the first link-layer options that say anything.
func linkOptions(options []ndp.Option) (source, target net.HardwareAddr) {
	for _, o := range options {
		l, ok := o.(*ndp.LinkLayerAddress)
		switch {
		case !ok || bytes.Equal(l.Addr, make([]byte, 6)):
		case l.Direction == ndp.Source && source == nil:
			source = l.Addr
		case l.Direction == ndp.Target && target == nil:
			target = l.Addr
		}
	}
	return source, target
}

// repair6 sets the right checksum, which no fuzzer guesses, where the version says so.
func repair6(b []byte) {
	if len(b) < ipv6Size+4 || b[0]&1 != 0 {
		return
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < 4 || ipv6Size+size > len(b) {
		return
	}
	m := b[ipv6Size : ipv6Size+size]
	m[2], m[3] = 0, 0
	from, to := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	binary.BigEndian.PutUint16(m[2:], checksum(from, to, m))
}

func FuzzParseEcho(f *testing.F) {
	echo4 := []byte{
		0x45, 0, 0, 30, 0, 1, 0x40, 0, 64, 1, 0, 0, 192, 0, 2, 12, 192, 0, 2, 240,
		8, 0, 0, 0, 0, 1, 0, 2, 'h', 'i',
	}
	echo6 := append([]byte{0x60, 0, 0, 0, 0, 10, 58, 64}, make([]byte, 32)...)
	echo6[8], echo6[24] = 0x20, 0x20
	echo6 = append(echo6, 128, 0, 0, 0, 0, 1, 0, 2, 'h', 'i')
	for _, b := range [][]byte{echo4, echo6} {
		f.Add(b, false)
		f.Add(b[:len(b)-3], false)
		f.Add(append(bytes.Clone(b), "padding"...), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		b = bytes.Clone(b)
		parse, proto, size := parseEcho4, 1, ipv4Size
		if v6 || len(b) > 0 && b[0]>>4 == 6 {
			if !isEcho6(b) {
				return
			}
			repair6(b)
			parse, proto, size = parseEcho6, 58, ipv6Size
		}
		p, drop := parse(b)
		if drop != DropNone {
			return
		}
		if proto == 1 {
			h, err := ipv4.ParseHeader(b)
			if err != nil || h.Len != 20 || h.Protocol != 1 || h.Flags&ipv4.MoreFragments != 0 || h.FragOff != 0 ||
				h.TotalLen != 20+len(p.message) || p.from.String() != h.Src.String() || p.to.String() != h.Dst.String() {
				t.Fatalf("%+v for %v, %v", p, h, err)
			}
		} else if h, err := ipv6.ParseHeader(b); err != nil || h.PayloadLen != len(p.message) || h.NextHeader != 58 {
			t.Fatalf("%+v for %v, %v", p, h, err)
		}
		m, err := icmp.ParseMessage(proto, p.message)
		if err != nil || m.Type != ipv4.ICMPTypeEcho && m.Type != ipv6.ICMPTypeEchoRequest {
			t.Fatalf("%+v, %v", m, err)
		}
		if !bytes.Equal(p.message, b[size:size+len(p.message)]) {
			t.Error("not the packet's message")
		}
		if p.check() == DropNone && m.Code != 0 {
			t.Errorf("taken with code %d", m.Code)
		}
	})
}

// Whatever is taken for a mark is one: it comes back from its own fields, and neither from
// another address nor by another key.
func FuzzParseMark(f *testing.F) {
	for _, m := range []Mark{{Kind: MarkQuestion}, {Kind: MarkClaim, Standing: StandingLease, Transitions: 7, Nonce: 9}} {
		f.Add(AppendMark(nil, m, fuzz4, fuzzSelf.MAC, fuzzSelf.Key), false)
		f.Add(AppendMark(nil, m, fuzz4, fuzzSelf.MAC, Key{}), true)
	}
	f.Add([]byte("Ar\x01"), false)
	next := AppendMark(nil, Mark{Kind: MarkClaim}, fuzz4, fuzzSelf.MAC, fuzzSelf.Key)
	next[2]++ // of a later version
	f.Add(next, true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		b = bytes.Clone(b)
		if sign && len(b) >= markSize { // no fuzzer guesses a tag
			tag := markTag([markTagAt]byte(b), fuzz4, fuzzSelf.MAC, fuzzSelf.Key)
			binary.LittleEndian.PutUint64(b[markTagAt:], tag)
		}
		m, ok := ParseMark(b, fuzz4, fuzzSelf.MAC, fuzzSelf.Key)
		if !ok {
			if m != (Mark{}) {
				t.Errorf("no mark, but %+v", m)
			}
			return
		}
		again := AppendMark(nil, m, fuzz4, fuzzSelf.MAC, fuzzSelf.Key)
		if !bytes.Equal(again, b[:markSize]) {
			t.Errorf("%x came back as %x", b[:markSize], again)
		}
		if _, ok := ParseMark(b, fuzz6, fuzzSelf.MAC, fuzzSelf.Key); ok {
			t.Error("taken for another address")
		}
		if _, ok := ParseMark(b, fuzz4, fuzzSelf.MAC, Key{}); ok {
			t.Error("taken without the key")
		}
	})
}

func FuzzParseMAC(f *testing.F) {
	for _, s := range []string{"02:00:5e:00:53:01", "FF:ff:Ff:00:00:00", "02-00-5e-00-53-01", "0200.5e00.5301", "", "02:00:5e:00:53:01:02:03", "02:00:5e:00:53:0g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseMAC(s)
		want, wantErr := net.ParseMAC(s)
		colons := wantErr == nil && len(s) == 17 && s[2] == ':'
		if (err == nil) != colons {
			t.Fatalf("%q: %v, want %v", s, err, wantErr)
		}
		if err != nil {
			if got != (MAC{}) || err.Error() == "" {
				t.Errorf("%q: %v, %q", s, got, err)
			}
			return
		}
		if !bytes.Equal(got[:], want) || got.String() != strings.ToLower(s) {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	})
}
