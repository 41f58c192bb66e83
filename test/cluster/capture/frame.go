// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Kind is what a frame does with an address.
type Kind string

const (
	// Question asks who has the address: an ARP request for another's address, or a Neighbor Solicitation. Probes
	// (RFC 5227 with sender 0.0.0.0, RFC 4862 with source ::) are questions too.
	Question Kind = "question"
	// ARPReply says in an ARP reply that the address is at a MAC.
	ARPReply Kind = "arp-reply"
	// ARPClaim says the same in an ARP request whose sender and target address are equal: a gratuitous ARP, or the
	// announcement of RFC 5227 section 2.3.
	ARPClaim Kind = "arp-claim"
	// Advertisement says the same in a Neighbor Advertisement.
	Advertisement Kind = "advertisement"
)

// Frame is one ARP or Neighbor Discovery frame.
type Frame struct {
	// Time is when the kernel received the frame at the bridge's port; Parse leaves it zero.
	Time time.Time
	Kind Kind
	// Addr is the address asked for or spoken for.
	Addr netip.Addr
	// MAC is, of an answer, the address that Addr is said to be at: ARP's sender, the target link-layer address option
	// of an advertisement or, without that, its Ethernet source. Of a question it is the asker's.
	MAC string
	// Source and Destination are of the Ethernet header.
	Source, Destination string
	// Asker is, of a question, the IP address that asks; the zero Addr in a probe.
	Asker netip.Addr
	// Override, Solicited and Router are the flags of an advertisement.
	Override, Solicited, Router bool
}

// Answer says whether the frame speaks for its address.
func (f Frame) Answer() bool { return f.Kind != Question }

func (f Frame) String() string {
	at := f.Time.Format("15:04:05.000000")
	if f.Answer() {
		return fmt.Sprintf("%s %s: %s is at %s (from %s to %s)", at, f.Kind, f.Addr, f.MAC, f.Source, f.Destination)
	}
	return fmt.Sprintf("%s %s: who has %s, asks %s (%s)", at, f.Kind, f.Addr, f.Asker, f.Source)
}

const (
	ethernetHeader = 14
	etherTypeARP   = 0x0806
	etherTypeIPv6  = 0x86dd

	arpLength             = 28
	arpRequest, arpReply  = 1, 2
	ipv6Header            = 40
	protocolICMPv6        = 58
	typeNeighborSolicit   = 135
	typeNeighborAdvertise = 136
	optionTargetLinkLayer = 2
)

// Parse reads an Ethernet frame; false when it is neither ARP for IPv4 nor a Neighbor Solicitation or Advertisement, or
// is cut short. An ARP request is a claim when it speaks for the very address it asks for; who else sends requests
// claims the sender address too, but only by the way, and that is not reported.
func Parse(b []byte) (Frame, bool) {
	if len(b) < ethernetHeader {
		return Frame{}, false
	}
	f := Frame{Destination: mac(b[0:6]), Source: mac(b[6:12])}
	payload := b[ethernetHeader:]
	switch binary.BigEndian.Uint16(b[12:14]) {
	case etherTypeARP:
		return parseARP(f, payload)
	case etherTypeIPv6:
		return parseNeighbor(f, payload)
	}
	return Frame{}, false
}

func parseARP(f Frame, b []byte) (Frame, bool) {
	// Hardware type Ethernet, protocol IPv4, lengths 6 and 4 (RFC 826).
	if len(b) < arpLength || [6]byte(b[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return Frame{}, false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	f.MAC = mac(b[8:14])
	switch operation := binary.BigEndian.Uint16(b[6:8]); {
	case operation == arpReply:
		f.Kind, f.Addr = ARPReply, sender
	case operation == arpRequest && sender == target:
		f.Kind, f.Addr = ARPClaim, sender
	case operation == arpRequest:
		f.Kind, f.Addr = Question, target
		if !sender.IsUnspecified() {
			f.Asker = sender
		}
	default:
		return Frame{}, false
	}
	return f, true
}

func parseNeighbor(f Frame, b []byte) (Frame, bool) {
	const targetEnd = ipv6Header + 24
	// RFC 4861 section 7.1: hop limit 255, code 0. Extension headers are not used before these messages.
	if len(b) < targetEnd || b[6] != protocolICMPv6 || b[7] != 255 || b[ipv6Header+1] != 0 {
		return Frame{}, false
	}
	message := b[ipv6Header:]
	f.Addr = netip.AddrFrom16([16]byte(message[8:24]))
	f.MAC = f.Source
	switch message[0] {
	case typeNeighborSolicit:
		f.Kind = Question
		if source := netip.AddrFrom16([16]byte(b[8:24])); !source.IsUnspecified() {
			f.Asker = source
		}
	case typeNeighborAdvertise:
		f.Kind = Advertisement
		f.Router, f.Solicited, f.Override = message[4]&0x80 != 0, message[4]&0x40 != 0, message[4]&0x20 != 0
		if at, ok := option(message[24:], optionTargetLinkLayer); ok && len(at) >= 6 {
			f.MAC = mac(at[:6])
		}
	default:
		return Frame{}, false
	}
	return f, true
}

// option finds a Neighbor Discovery option (RFC 4861 section 4.6) and gives its content.
func option(b []byte, kind byte) ([]byte, bool) {
	for len(b) >= 8 {
		length := int(b[1]) * 8
		if length == 0 || length > len(b) {
			return nil, false
		}
		if b[0] == kind {
			return b[2:length], true
		}
		b = b[length:]
	}
	return nil, false
}

func mac(b []byte) string { return net.HardwareAddr(b).String() }
