// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"encoding/binary"
	"net/netip"
)

// Echo requests and replies (RFC 792; RFC 4443 section 4), and the IPv4 header before them
// (RFC 791).
const (
	ipv4Size  = 20
	ipv4ICMP  = 1
	echoSize  = 8
	echoHops  = 64 // the TTL and hop limit of what a host sends by default
	echoOf4   = 8
	echoOf6   = 128
	replyTo4  = 0
	replyTo6  = 129
	fragments = 0x3fff // of flags and offset: more of them follow, or this is not the first
	doNotFrag = 0x4000
	notECN    = 0xfc // of the traffic class: what is not congestion notification (RFC 3168)
)

// echo is a message whose IP header says that it may be an echo request.
type echo struct {
	from, to netip.Addr
	header   []byte // IP, without options or extensions
	message  []byte // ICMP, without the frame's padding
}

// parseEcho4 takes no options: nobody needs them for this, and a source route would have to
// be turned around (RFC 1122 section 3.2.2.6).
func parseEcho4(b []byte) (echo, Drop) {
	if len(b) < ipv4Size {
		return echo{}, DropTruncated
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]>>4 != 4 || b[9] != ipv4ICMP:
		return echo{}, DropProtocol
	case b[0]&15 < ipv4Size/4:
		return echo{}, DropMalformed
	case b[0]&15 > ipv4Size/4:
		return echo{}, DropOption
	case binary.BigEndian.Uint16(b[6:])&fragments != 0:
		return echo{}, DropFragment
	case size > len(b) || size < ipv4Size+echoSize:
		return echo{}, DropTruncated
	case b[ipv4Size] != echoOf4:
		return echo{}, DropProtocol
	}
	return echo{
		from:    netip.AddrFrom4([4]byte(b[12:16])),
		to:      netip.AddrFrom4([4]byte(b[16:20])),
		header:  b[:ipv4Size],
		message: b[ipv4Size:size],
	}, DropNone
}

// isEcho6 tells an echo request from neighbor discovery.
func isEcho6(b []byte) bool {
	return len(b) > ipv6Size && b[6] == ipv6ICMP && b[ipv6Size] == echoOf6
}

func parseEcho6(b []byte) (echo, Drop) {
	message, drop := parseIPv6(b)
	switch {
	case drop != DropNone:
		return echo{}, drop
	case len(message) < echoSize:
		return echo{}, DropTruncated
	}
	return echo{
		from:    netip.AddrFrom16([16]byte(b[8:24])),
		to:      netip.AddrFrom16([16]byte(b[24:40])),
		header:  b[:ipv6Size],
		message: message,
	}, DropNone
}

// check is what no answer may be given without: the right sums, and a sender that is one
// host (RFC 1122 section 3.2.1.3; RFC 4291 sections 2.5.2, 2.5.3 and 2.7). Which address is the broadcast
// of a subnet cannot be seen here; the answer to one goes to one card all the same.
func (p echo) check() Drop {
	sum := checksum(p.from, p.to, p.message)
	if p.from.Is4() {
		if fold(add(0, p.header)) != 0 {
			return DropChecksum
		}
		sum = fold(add(0, p.message))
		if a := p.from.As4(); a[0] == 0 || a == [4]byte{255, 255, 255, 255} {
			return DropSender
		}
	}
	switch {
	case sum != 0:
		return DropChecksum
	case p.message[1] != 0:
		return DropMalformed
	case p.from.IsUnspecified() || p.from.IsMulticast() || p.from.IsLoopback() || p.from.Is4In6():
		return DropSender
	}
	return DropNone
}

// decideEcho answers who pings an address that has a voice, by the gate that holds for
// every question. Nothing is heard by it: it says nothing of who speaks.
func (t *Table) decideEcho(reply []byte, e ether, parse func([]byte) (echo, Drop), g Gate) Verdict {
	p, drop := parse(e.payload)
	if drop != DropNone {
		return Verdict{Drop: drop}
	}
	if !e.unicast { // nor is anything sent to a group answered (RFC 1122 section 3.2.2.6)
		return Verdict{Drop: DropNotToUs}
	}
	entry, known := t.entries[p.to]
	if !known {
		return Verdict{Drop: DropUnknown}
	}
	v := Verdict{Addr: p.to}
	if !entry.Ping {
		v.Drop = DropNoPing
		return v
	}
	if v.Drop = p.check(); v.Drop != DropNone {
		return v
	}
	if _, vip := t.entries[p.from]; vip { // two of them would never end
		v.Drop = DropSender
		return v
	}
	if v.Drop = g.admits(entry, t.self.MAC); v.Drop != DropNone {
		return v
	}
	v.Echo = true
	if p.from.Is4() {
		v.Reply = appendEcho4(appendEther(reply, e.from, t.self.MAC, etherIPv4), p)
	} else {
		v.Reply = appendEcho6(appendEther(reply, e.from, t.self.MAC, etherIPv6), p)
	}
	return v
}

// appendEcho4 appends the request turned around, its data untouched (RFC 792). The
// identification is unique to this asker and address as it was the other way round, and
// what was not to be fragmented is not (RFC 6864); the type of service is the request's
// (RFC 1349 section 5.1), without congestion.
func appendEcho4(b []byte, p echo) []byte {
	start := len(b)
	from, to := p.from.As4(), p.to.As4()
	b = append(b, p.header[:ipv4Size]...)
	h := b[start:]
	h[1] &= notECN
	h[6], h[7] = h[6]&(doNotFrag>>8), 0
	h[8] = echoHops
	h[10], h[11] = 0, 0
	copy(h[12:], to[:])
	copy(h[16:], from[:])
	binary.BigEndian.PutUint16(h[10:], fold(add(0, h)))
	b = appendEchoMessage(b, p.message, replyTo4)
	m := b[start+ipv4Size:]
	binary.BigEndian.PutUint16(m[2:], fold(add(0, m)))
	return b
}

// appendEcho6 appends the same by RFC 4443 section 4.2, from the address that was asked.
func appendEcho6(b []byte, p echo) []byte {
	start := len(b)
	from, to := p.from.As16(), p.to.As16()
	class := (p.header[0]<<4 | p.header[1]>>4) & notECN
	b = append(b, 6<<4|class>>4, class<<4, 0, 0)
	b = append(b, p.header[4], p.header[5], ipv6ICMP, echoHops)
	b = append(b, to[:]...)
	b = append(b, from[:]...)
	b = appendEchoMessage(b, p.message, replyTo6)
	m := b[start+ipv6Size:]
	binary.BigEndian.PutUint16(m[2:], checksum(p.to, p.from, m))
	return b
}

// appendEchoMessage appends the request as a reply, the checksum yet to come.
func appendEchoMessage(b, request []byte, typ uint8) []byte {
	b = append(b, typ, 0, 0, 0)
	return append(b, request[4:]...)
}
