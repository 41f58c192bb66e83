// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"encoding/binary"
	"net/netip"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

var (
	allRouters = netip.MustParseAddr("ff02::2")
	allMLDv2   = netip.MustParseAddr("ff02::16") // all MLDv2-capable routers
)

// EtherAddr is where frames for a multicast group go (RFC 2464 section 7).
func EtherAddr(group netip.Addr) neighbor.MAC {
	a := group.As16()
	return neighbor.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// kind of a record (RFC 3810 section 5.2.5).
type kind byte

const (
	modeIsExclude   kind = 2 // an answer: a member
	changeToInclude kind = 3 // of nothing: a member no more
	changeToExclude kind = 4 // a member from now on
)

type record struct {
	kind  kind
	group netip.Addr
}

const recordSize = 20

// records is how many of them fit into a frame.
func (c Card) records() int { return (max(c.MTU, minMTU) - ipv6Size - hopSize - 8) / recordSize }

// report2 encodes a Version 2 Multicast Listener Report (RFC 3810 section 5.2).
func (c Card) report2(records []record) []byte {
	m := make([]byte, 8, 8+recordSize*len(records))
	m[0] = typeReport2
	binary.BigEndian.PutUint16(m[6:], uint16(len(records))) // #nosec G115 -- as many as fit into a frame
	for _, r := range records {
		m = append(m, byte(r.kind), 0, 0, 0)
		m = append(m, r.group.AsSlice()...)
	}
	return c.frame(allMLDv2, m)
}

// report1 encodes a Multicast Listener Report or Done of version 1 (RFC 2710 section 3).
func (c Card) report1(group netip.Addr, member bool) []byte {
	m := make([]byte, 8, query1Size)
	to := group
	m[0] = typeReport1
	if !member {
		m[0], to = typeDone, allRouters
	}
	return c.frame(to, append(m, group.AsSlice()...))
}

// frame puts the headers before an ICMPv6 message and its checksum into it.
func (c Card) frame(to netip.Addr, message []byte) []byte {
	mac := EtherAddr(to)
	b := make([]byte, 0, icmp+len(message))
	b = append(append(b, mac[:]...), c.MAC[:]...)
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(hopSize+len(message))) // #nosec G115 -- as much as fits into a frame
	b = append(b, nextHop, 1)
	b = append(append(b, c.LinkLocal.AsSlice()...), to.AsSlice()...)
	b = append(b, nextICMPv6, 0, 5, 2, 0, 0, 1, 0) // Router Alert, padding
	b = append(b, message...)
	binary.BigEndian.PutUint16(b[icmp+2:], checksum(b[ip:], b[icmp:]))
	return b
}
