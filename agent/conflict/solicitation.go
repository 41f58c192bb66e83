// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"encoding/binary"
	"net/netip"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

const (
	etherIPv6  = 0x86dd
	icmpv6     = 58
	hopLimit   = 255
	solicit    = 135
	ipv6Size   = 40
	markOption = 253 // as package neighbor has it
)

// Solicitation builds the question of duplicate address detection (RFC 4862 section 5.4.2): a
// neighbour solicitation from the unspecified address to the solicited-node group, with no
// source link-layer option (RFC 4861 section 4.3). It carries the mark of a question, so that
// peers know whose it is.
func Solicitation(self neighbor.Self, addr netip.Addr, m neighbor.Mark) []byte {
	group := neighbor.SolicitedNode(addr).As16()
	target := addr.As16()

	m.Kind, m.Cluster, m.Incarnation = neighbor.MarkQuestion, self.Cluster, self.Incarnation
	option := neighbor.AppendMark([]byte{markOption, 0}, m, addr, self.MAC, self.Key)
	option[1] = byte(len(option) / 8)

	message := append([]byte{solicit, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	message = append(message, option...)
	binary.BigEndian.PutUint16(message[2:], checksum(group, message))

	b := append([]byte{0x33, 0x33}, group[12:]...) // RFC 2464 section 7
	b = append(b, self.MAC[:]...)
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(message)))
	b = append(b, icmpv6, hopLimit)
	b = append(b, make([]byte, 16)...) // from ::
	b = append(b, group[:]...)
	return append(b, message...)
}

// checksum of a message from the unspecified address (RFC 4443 section 2.3), whose length is even.
func checksum(to [16]byte, message []byte) uint16 {
	sum := uint32(len(message)) + icmpv6
	for _, b := range [][]byte{to[:], message} {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
