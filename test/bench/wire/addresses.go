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

// hosts is how many addresses ask: enough that none asks again before it is answered, few enough that no neighbor table
// overflows (the kernel keeps 512 entries for as long as it likes).
const hosts = 400

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
func (f family) questions(card neighbor.MAC, addrs []netip.Addr) ([][]byte, error) {
	frames := make([][]byte, leastCommon(len(addrs), hosts))
	for i := range frames {
		self := neighbor.Self{MAC: card, IPv4: plus(f.host, i%hosts), LinkLocal: plus(f.host, i%hosts)}
		frame, ok := neighbor.Probe(self, addrs[i%len(addrs)], neighbor.Broadcast())
		if !ok {
			return nil, fmt.Errorf("no question for %v", addrs[i%len(addrs)])
		}
		frames[i] = frame
	}
	return frames, nil
}

func leastCommon(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}

// asker is the number of the host that a reply is for; false: the frame is no reply.
func (f family) asker(frame []byte) (int, bool) {
	var at int
	switch {
	case f.protocol == 0x0806 && len(frame) >= 42 && frame[21] == 2:
		at = 38
	case f.protocol == 0x86dd && len(frame) >= 78 && frame[20] == 58 && frame[54] == 136:
		at = 50
	default:
		return 0, false
	}
	b := f.host.As16()
	n := int(binary.BigEndian.Uint32(frame[at:])) - int(binary.BigEndian.Uint32(b[12:]))
	return n, n >= 0 && n < hosts
}
