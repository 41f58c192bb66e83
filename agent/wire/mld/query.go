// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Query is a Multicast Listener Query.
type Query struct {
	// Version is 1 or 2.
	Version int
	// Group that is asked about; invalid: all (a General Query).
	Group netip.Addr
	// Delay is the Maximum Response Delay.
	Delay time.Duration
	// Robustness and Interval are the querier's (QRV, QQIC). Zero: it does not say.
	Robustness int
	Interval   time.Duration
}

// General tells whether all groups are asked about.
func (q Query) General() bool { return !q.Group.IsValid() }

// The layout of a query: Ethernet, IPv6, a hop-by-hop header of 8 octets, ICMPv6.
const (
	etherSize = 14
	ipv6Size  = 40
	hopSize   = 8
	ip        = etherSize
	hop       = ip + ipv6Size
	icmp      = hop + hopSize

	query1Size = 24 // RFC 2710 section 3
	query2Size = 28 // RFC 3810 section 5.1, without sources

	etherIPv6  = 0x86dd
	nextHop    = 0
	nextICMPv6 = 58

	typeQuery, typeReport1, typeDone, typeReport2 = 130, 131, 132, 143
)

// Why a frame is no query to be heeded.
var (
	errNoQuery     = errors.New("no query of multicast listeners")
	errLength      = errors.New("a length that does not fit")
	errHopLimit    = errors.New("a hop limit other than 1")
	errSource      = errors.New("a source that is not link-local")
	errRouterAlert = errors.New("no router alert")
	errChecksum    = errors.New("a wrong checksum")
	errGroup       = errors.New("a group that is none")
)

// Parse reads an Ethernet frame. Its errors say why it is not to be heeded: RFC 3810 sections 5.1
// and 6.2 say what a query must be.
func Parse(frame []byte) (Query, error) {
	if len(frame) < icmp+query1Size || binary.BigEndian.Uint16(frame[12:]) != etherIPv6 ||
		frame[ip]>>4 != 6 || frame[ip+6] != nextHop || frame[hop] != nextICMPv6 || frame[icmp] != typeQuery {
		return Query{}, errNoQuery
	}
	size := int(binary.BigEndian.Uint16(frame[ip+4:]))
	if size < hopSize+query1Size || size > len(frame)-hop || frame[hop+1] != 0 {
		return Query{}, errLength
	}
	src, dst := address(frame[ip+8:]), address(frame[ip+24:])
	switch {
	case frame[ip+7] != 1:
		return Query{}, errHopLimit
	case !src.IsLinkLocalUnicast():
		return Query{}, errSource
	case !dst.IsMulticast():
		return Query{}, errNoQuery
	case !routerAlert(frame[hop+2 : icmp]):
		return Query{}, errRouterAlert
	}
	m := frame[icmp : hop+size]
	if checksum(frame[ip:], m) != 0 {
		return Query{}, errChecksum
	}
	return parseMessage(m)
}

// parseMessage reads what begins with the ICMPv6 header. The code is ignored (RFC 3810 section
// 5.1.2), and so is what stands behind the sources (5.1.12).
func parseMessage(m []byte) (Query, error) {
	code := binary.BigEndian.Uint16(m[4:])
	q := Query{Version: 1, Delay: time.Duration(code) * time.Millisecond}
	group, sources := address(m[8:]), 0
	switch {
	case len(m) == query1Size:
	case len(m) >= query2Size:
		sources = int(binary.BigEndian.Uint16(m[26:]))
		if len(m) < query2Size+16*sources {
			return Query{}, errLength
		}
		q.Version = 2
		q.Delay = time.Duration(decode(uint32(code), 12)) * time.Millisecond
		q.Robustness = int(m[24] & 7)
		q.Interval = time.Duration(decode(uint32(m[25]), 4)) * time.Second
	default: // RFC 3810 section 8.1
		return Query{}, errLength
	}
	switch {
	case group.IsMulticast():
		q.Group = group
	case !group.IsUnspecified() || sources > 0:
		return Query{}, errGroup
	}
	return q, nil
}

// decode reads a code that is a number below 1<<(bits+3), and a floating-point one from there on:
// a bit that says so, three bits of exponent, the bits of the mantissa (RFC 3810 sections 5.1.3
// and 5.1.9).
func decode(code uint32, bits int) uint32 {
	if code < 1<<(bits+3) {
		return code
	}
	mantissa, exponent := code&(1<<bits-1), code>>bits&7
	return (mantissa | 1<<bits) << (exponent + 3)
}

// routerAlert looks for the option (RFC 2711), with the value of MLD, among those of a header. An
// option that is not known decides by its two highest bits whether the packet is to be dropped
// (RFC 8200 section 4.2).
func routerAlert(options []byte) (found bool) {
	const pad1, alert = 0, 5
	for len(options) > 0 {
		if options[0] == pad1 {
			options = options[1:]
			continue
		}
		if len(options) < 2 || len(options) < 2+int(options[1]) {
			return false
		}
		kind, data := options[0], options[2:2+int(options[1])]
		switch {
		case kind == alert:
			found = len(data) == 2 && data[0] == 0 && data[1] == 0
			if !found {
				return false
			}
		case kind>>6 != 0:
			return false
		}
		options = options[2+len(data):]
	}
	return found
}

func address(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }

// checksum is that of the ICMPv6 message of an IPv6 packet (RFC 4443 section 2.3): zero if the one
// in it is right.
func checksum(packet, message []byte) uint16 {
	sum := uint32(len(message)) + nextICMPv6 // #nosec G115 -- at most 65,535
	for _, b := range [][]byte{packet[8:ipv6Size], message} {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
		sum = sum>>16 + sum&0xffff
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum) // #nosec G115 -- 16 bits are left
}
