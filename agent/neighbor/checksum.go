// SPDX-License-Identifier: Apache-2.0

package neighbor

import "net/netip"

// checksum of an ICMPv6 message with its pseudo-header (RFC 4443 section 2.3): what the
// field must be if it is zero, zero if it is right.
func checksum(src, dst netip.Addr, message []byte) uint16 {
	s, d := src.As16(), dst.As16()
	return fold(add(add(add(uint32(len(message))+ipv6ICMP, s[:]), d[:]), message))
}

// add adds 16-bit words to a sum; an odd octet is the upper half of one (RFC 1071). All the
// words of a packet fit.
func add(sum uint32, b []byte) uint32 {
	for len(b) >= 2 {
		sum += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// fold is the complement of a sum in ones' complement.
func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
