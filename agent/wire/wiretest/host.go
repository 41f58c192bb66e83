// SPDX-License-Identifier: Apache-2.0

package wiretest

import (
	"encoding/binary"
	"net/netip"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// Host plugs in a host that is no agent, a gateway for instance: its kernel answers for
// its own addresses, without marks, and needs no loop. It can be split off, cut, paused and
// failed like any port.
func (s *Segment) Host(mac neighbor.MAC, addrs ...netip.Addr) *Port {
	p := s.Plug(wire.Config{Interface: "host"})
	p.host, p.state = true, wire.State{Up: true}
	self := neighbor.Self{MAC: mac, Cluster: [8]byte{'n', 'o', 'n', 'e'}}
	var es []neighbor.Entry
	for _, addr := range addrs {
		es = append(es, neighbor.Entry{Addr: addr, Voice: true})
	}
	p.SetTable(neighbor.NewTable(self, es))
	return p
}

// The sizes of the headers that an answer has before its mark.
const (
	etherSize  = 14
	arpSize    = 28
	ipv6Size   = 40
	adviceSize = 24 + 8 // the advertisement and its target link-layer option
)

// unmarked takes the mark off an answer.
func unmarked(frame []byte) []byte {
	if frame == nil {
		return nil
	}
	if binary.BigEndian.Uint16(frame[12:]) == 0x0806 {
		return frame[:etherSize+arpSize]
	}
	frame = frame[:etherSize+ipv6Size+adviceSize]
	packet := frame[etherSize:]
	binary.BigEndian.PutUint16(packet[4:], adviceSize)
	message := packet[ipv6Size:]
	binary.BigEndian.PutUint16(message[2:], 0)
	// RFC 4443 section 2.3: the sum over addresses, length, next header and message.
	sum := uint32(adviceSize + 58)
	for b := packet[8:]; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum))
	return frame
}
