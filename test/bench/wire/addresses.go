// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// family is one of the two.
type family struct {
	name     string
	protocol uint16 // EtherType
	own      netip.Prefix
	vip      netip.Addr // the first of them
	foreign  netip.Addr // the first of addresses that nobody has
	host     netip.Addr // the first of those that ask, on the link of own
}

var families = []family{
	{
		name: "ARP", protocol: 0x0806, own: netip.MustParsePrefix("198.18.0.1/16"),
		vip: netip.MustParseAddr("198.19.1.0"), foreign: netip.MustParseAddr("198.19.64.0"), host: netip.MustParseAddr("198.18.1.0"),
	},
	{
		name: "NDP", protocol: 0x86dd, own: netip.MustParsePrefix("2001:db8::1/64"),
		vip: netip.MustParseAddr("2001:db8:0:1::1:0"), foreign: netip.MustParseAddr("2001:db8:0:2::1:0"), host: netip.MustParseAddr("2001:db8::1:0"),
	},
}

const (
	// hosts is how many addresses ask. No neighbor table overflows: the kernel has one for all namespaces, and keeps 512
	// entries for as long as it likes.
	hosts = 100

	// slots is how many questions are told apart, by the card that asks: each of them is answered to its own.
	slots = 8000
)

// plus gives the address n places behind.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint32(b[12:], binary.BigEndian.Uint32(b[12:])+uint32(n))
	return netip.AddrFrom16(b).Unmap()
}

// some gives n addresses from the first on.
func some(first netip.Addr, n int) []netip.Addr {
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		addrs[i] = plus(first, i)
	}
	return addrs
}

// questions builds the frames that ask for the addresses in turn, as any host asks: each host and each address as often
// as the others.
func (f family) questions(addrs []netip.Addr) ([][]byte, error) {
	every := leastCommon(len(addrs), hosts)
	frames := make([][]byte, slots/every*every)
	for i := range frames {
		self := neighbor.Self{MAC: cardOf(i), IPv4: plus(f.host, i%hosts), LinkLocal: plus(f.host, i%hosts)}
		frame, ok := neighbor.Probe(self, addrs[i%len(addrs)], neighbor.Broadcast())
		if !ok {
			return nil, fmt.Errorf("no question for %v", addrs[i%len(addrs)])
		}
		frames[i] = frame
	}
	return frames, nil
}

// cardOf is the card that a question is sent by.
func cardOf(slot int) neighbor.MAC {
	mac := neighbor.MAC{0x02, 0xbe}
	binary.BigEndian.PutUint32(mac[2:], uint32(slot))
	return mac
}

func leastCommon(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}

// answered is the number of the question that a frame answers; false: it answers none.
func (f family) answered(frame []byte) (int, bool) {
	switch {
	case f.protocol == 0x0806 && len(frame) >= 42 && frame[21] == 2:
	case f.protocol == 0x86dd && len(frame) >= 78 && frame[20] == 58 && frame[54] == 136:
	default:
		return 0, false
	}
	slot := int(binary.BigEndian.Uint32(frame[2:]))
	return slot, frame[0] == 0x02 && frame[1] == 0xbe && slot < slots
}
