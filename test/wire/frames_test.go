// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Frames of strangers are built, and ours are read, with other people's codecs, so that a
// mistake in ours is not made twice.

var (
	none4      = netip.IPv4Unspecified()
	none6      = netip.IPv6Unspecified()
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
	stranger   = neighbor.MAC{2, 0, 0, 0, 0, 0x66}
)

func etherFrame(to, from neighbor.MAC, typ ethernet.EtherType, payload []byte) []byte {
	b, err := (&ethernet.Frame{Destination: to[:], Source: from[:], EtherType: typ, Payload: payload}).MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b
}

// arpFrame comes from the card that its sender field names.
func arpFrame(to neighbor.MAC, op arp.Operation, sha neighbor.MAC, spa netip.Addr, tha neighbor.MAC, tpa netip.Addr) []byte {
	p, err := arp.NewPacket(op, sha[:], spa, tha[:], tpa)
	if err != nil {
		panic(err)
	}
	b, err := p.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return etherFrame(to, sha, ethernet.EtherTypeARP, b)
}

// groupMAC is where frames for a multicast group go (RFC 2464 section 7).
func groupMAC(group netip.Addr) neighbor.MAC {
	a := group.As16()
	return neighbor.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

func ndpFrame(to, from neighbor.MAC, src, dst netip.Addr, hopLimit uint8, m ndp.Message) []byte {
	b, err := ndp.MarshalMessageChecksum(m, src, dst)
	if err != nil {
		panic(err)
	}
	return etherFrame(to, from, ethernet.EtherTypeIPv6, ipv6Packet(src, dst, 58, hopLimit, b))
}

func ipv6Packet(src, dst netip.Addr, next, hopLimit uint8, payload []byte) []byte {
	h := []byte{6 << 4, 0, 0, 0, 0, 0, next, hopLimit}
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	return slices.Concat(h, src.AsSlice(), dst.AsSlice(), payload)
}

func linkOption(d ndp.Direction, mac neighbor.MAC) ndp.Option {
	return &ndp.LinkLayerAddress{Direction: d, Addr: mac[:]}
}

// solicitation by multicast, as a kernel first asks.
func solicitation(from neighbor.MAC, src, target netip.Addr) []byte {
	m := &ndp.NeighborSolicitation{TargetAddress: target}
	if !src.IsUnspecified() {
		m.Options = []ndp.Option{linkOption(ndp.Source, from)}
	}
	group := neighbor.SolicitedNode(target)
	return ndpFrame(groupMAC(group), from, src, group, 255, m)
}

// advertisement to all nodes that the target is at the sender.
func advertisement(from neighbor.MAC, target netip.Addr, override bool) []byte {
	return ndpFrame(groupMAC(allNodes), from, target, allNodes, 255, &ndp.NeighborAdvertisement{
		Override: override, TargetAddress: target, Options: []ndp.Option{linkOption(ndp.Target, from)},
	})
}

// ipv4 and linkLocal are the host's first address of that kind.
func (h *host) ipv4() netip.Addr { return h.first(netip.Addr.Is4) }

func (h *host) linkLocal() netip.Addr { return h.first(netip.Addr.IsLinkLocalUnicast) }

func (h *host) first(f func(netip.Addr) bool) netip.Addr {
	h.t.Helper()
	own := h.addresses()
	i := slices.IndexFunc(own, f)
	if i < 0 {
		h.t.Fatalf("%s has only the addresses %v", h.ns, own)
	}
	return own[i]
}

// readARP reads a frame, which must be one of ARP.
func readARP(t *testing.T, frame []byte) (to, from neighbor.MAC, p arp.Packet) {
	t.Helper()
	if err := p.UnmarshalBinary(frame[14:]); err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	return neighbor.MAC(frame), neighbor.MAC(frame[6:]), p
}

// advertised is an advertisement as it was sent.
type advertised struct {
	to, from neighbor.MAC
	src, dst netip.Addr
	hopLimit byte
	*ndp.NeighborAdvertisement
}

// target is what its target link-layer options say.
func (a advertised) target() (macs []string) {
	for _, o := range a.Options {
		if l, ok := o.(*ndp.LinkLayerAddress); ok {
			macs = append(macs, l.Addr.String())
			if l.Direction != ndp.Target {
				macs = append(macs, "as the source")
			}
		}
	}
	return macs
}

// readNA reads a frame; false if it is no advertisement.
func readNA(t *testing.T, frame []byte) (a advertised, ok bool) {
	t.Helper()
	if len(frame) < 54 || binary.BigEndian.Uint16(frame[12:]) != 0x86dd || frame[20] != 58 {
		return a, false
	}
	size := int(binary.BigEndian.Uint16(frame[18:]))
	m, err := ndp.ParseMessage(frame[54 : 54+size])
	if err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	a = advertised{
		to: neighbor.MAC(frame), from: neighbor.MAC(frame[6:]), hopLimit: frame[21],
		src: netip.AddrFrom16([16]byte(frame[22:])), dst: netip.AddrFrom16([16]byte(frame[38:])),
	}
	a.NeighborAdvertisement, ok = m.(*ndp.NeighborAdvertisement)
	return a, ok
}
