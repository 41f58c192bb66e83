// SPDX-License-Identifier: Apache-2.0

package filter

import "golang.org/x/net/bpf"

const (
	// PACKET_HOST is 0, PACKET_BROADCAST 1, PACKET_MULTICAST 2; PACKET_OTHERHOST and
	// PACKET_OUTGOING are above (packet(7)).
	packetHost      = 0
	packetMulticast = 2

	wholeFrame = 0xffff

	// ip is where the network header begins, icmp6 what follows an IPv6 header.
	ip    = 14
	icmp6 = ip + 40

	arpRequest, arpReply   = 1, 2
	ndpSolicit, ndpAdvert  = 135, 136
	arpSender, arpTarget   = ip + 14, ip + 24
	ndpSource, ndpTargetAt = ip + 8, icmp6 + 8

	// hopByHop is where the type of an ICMPv6 message is, behind a hop-by-hop header of 8 octets.
	hopByHop = icmp6 + 8
	mldQuery = 130
)

// frame writes what every frame of the kind must be, and rest behind it. All kinds take only
// what was sent to this card, to everyone or to a group: frames for other cards arrive in
// promiscuous mode, and frames of a VLAN without an interface of its own arrive as such too,
// their tag already gone.
func frame(c *code, k Kind, pass, drop *target, rest func()) {
	toUs := func(most uint32) {
		c.require(bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpLessOrEqual, most, drop)
	}
	octets := func(at uint32, size int, val uint32) {
		c.require(bpf.LoadAbsolute{Off: at, Size: size}, bpf.JumpEqual, val, drop)
	}
	rest() // written first, as it runs last
	switch k {
	case ARP:
		octets(ip+4, 2, 6<<8|4)
		octets(ip, 4, 1<<16|0x0800)
		octets(12, 2, 0x0806)
		toUs(packetMulticast)
	case NDP:
		c.jump(bpf.JumpLessOrEqual, ndpAdvert, c.mark(), drop)
		c.require(bpf.LoadAbsolute{Off: icmp6, Size: 1}, bpf.JumpGreaterOrEqual, ndpSolicit, drop)
		toUs(packetMulticast)
		octets(12, 2, 0x86dd)
		discovery := c.mark()
		c.next(pass)
		octets(hopByHop, 1, mldQuery)
		octets(icmp6, 2, 58<<8) // next header; 8 octets long
		octets(ip+24, 1, 0xff)  // to a group
		toUs(packetMulticast)
		octets(12, 2, 0x86dd)
		listeners := c.mark()
		// Next header and hop limit.
		c.jump(bpf.JumpEqual, 58<<8|255, discovery, c.jump(bpf.JumpEqual, 0<<8|1, listeners, drop))
		c.put(bpf.LoadAbsolute{Off: ip + 6, Size: 2})
	case Echo4:
		octets(ip+20, 2, 8<<8)                                                              // type and code
		c.require(bpf.LoadAbsolute{Off: ip + 6, Size: 2}, bpf.JumpBitsNotSet, 0x3fff, drop) // no fragment
		octets(ip, 1, 4<<4|5)                                                               // no options
		octets(12, 2, 0x0800)
		toUs(packetHost)
		octets(ip+9, 1, 1)
	default:
		octets(icmp6, 2, 128<<8)
		octets(12, 2, 0x86dd)
		toUs(packetHost)
		octets(ip+6, 1, 58)
	}
}

// addressesARP writes, in the order in which it runs:
//
//	request: the target is searched, then the sender
//	reply:   the sender is searched among the witnesses, then among the others
func addressesARP(c *code, asked, witnesses Set, pass, drop *target) {
	c.next(c.search(asked, pass, drop))
	senderLoaded := c.mark()
	sender := c.put(bpf.LoadAbsolute{Off: arpSender, Size: 4})

	c.next(c.search(asked, pass, sender))
	request := c.put(bpf.LoadAbsolute{Off: arpTarget, Size: 4})

	c.next(c.search(witnesses, pass, senderLoaded))
	reply := c.put(bpf.LoadAbsolute{Off: arpSender, Size: 4})

	c.jump(bpf.JumpEqual, arpRequest, request, drop)
	c.jump(bpf.JumpEqual, arpReply, reply, c.mark())
	c.put(bpf.LoadAbsolute{Off: ip + 6, Size: 2})
}

// addressesNDP writes, in the order in which it runs:
//
//	solicitation:  the target is searched, then the source
//	advertisement: the target is searched among the witnesses, then among the others
func addressesNDP(c *code, asked, witnesses Set, pass, drop *target) {
	c.next(c.search(asked, pass, drop))
	c.key(ndpSource)
	c.require(bpf.LoadAbsolute{Off: icmp6, Size: 1}, bpf.JumpEqual, ndpSolicit, drop)
	source := c.mark()

	c.next(c.search(asked, pass, source))
	targetLoaded := c.mark()
	solicitation := c.key(ndpTargetAt)

	c.next(c.search(witnesses, pass, targetLoaded))
	advertisement := c.key(ndpTargetAt)

	c.jump(bpf.JumpEqual, ndpAdvert, advertisement, solicitation)
}
