// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"encoding/binary"
	"net/netip"
)

// Neighbour solicitations and advertisements (RFC 4861 sections 4.3, 4.4 and 4.6.1).
const (
	ipv6Size       = 40
	ipv6ICMP       = 58
	ndpSize        = 24
	ndpHopLimit    = 255
	ndpSolicit     = 135
	ndpAdvertise   = 136
	optionSource   = 1
	optionTarget   = 2
	optionLinkSize = 8

	flagRouter    = 0x80
	flagSolicited = 0x40
	flagOverride  = 0x20
)

// allNodes is ff02::1 and allRouters ff02::2 (RFC 4291 section 2.7.1).
func allNodes() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1}) }

func allRouters() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 2}) }

// isSolicitedNode is whether the address lies in ff02::1:ff00:0/104.
func isSolicitedNode(a netip.Addr) bool {
	b := a.As16()
	return SolicitedNode(a) == a && b[0] == 0xff
}

// ndpPacket is a solicitation or an advertisement.
type ndpPacket struct {
	typ      uint8
	flags    uint8
	from, to netip.Addr
	target   netip.Addr
	message  []byte // the ICMPv6 message, options and all
	source   MAC    // of the source link-layer option; zero without one
	targetLL MAC    // of the target link-layer option; zero without one
	option   []byte // the value of the first option with a mark's type and size
}

// parseIPv6 gives the ICMPv6 message of a packet, which has one octet at least.
func parseIPv6(b []byte) (message []byte, drop Drop) {
	if len(b) < ipv6Size {
		return nil, DropTruncated
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case b[0]>>4 != 6, b[6] != ipv6ICMP:
		// A solicitation behind extension headers is nobody's: RFC 6980 forbids the
		// one use they had, fragments. Nor is anything in fragments answered.
		return nil, DropProtocol
	case len(b) < ipv6Size+size, size < 1:
		return nil, DropTruncated
	}
	return b[ipv6Size : ipv6Size+size], DropNone
}

// parseNDP reads the fixed part; whether the packet is sound, check says.
func parseNDP(b []byte) (ndpPacket, Drop) {
	message, drop := parseIPv6(b)
	if drop != DropNone {
		return ndpPacket{}, drop
	}
	if message[0] != ndpSolicit && message[0] != ndpAdvertise {
		return ndpPacket{}, DropProtocol
	}
	if len(message) < ndpSize {
		return ndpPacket{}, DropTruncated
	}
	if b[7] != ndpHopLimit {
		return ndpPacket{}, DropHopLimit
	}
	return ndpPacket{
		typ:     message[0],
		flags:   message[4],
		from:    netip.AddrFrom16([16]byte(b[8:24])),
		to:      netip.AddrFrom16([16]byte(b[24:40])),
		target:  netip.AddrFrom16([16]byte(message[8:24])),
		message: message,
	}, DropNone
}

// check applies RFC 4861 sections 7.1.1 and 7.1.2 and reads the options.
func (p *ndpPacket) check() Drop {
	if p.message[1] != 0 || p.target.IsMulticast() {
		return DropMalformed
	}
	if checksum(p.from, p.to, p.message) != 0 {
		return DropChecksum
	}
	for o := p.message[ndpSize:]; len(o) > 0; {
		if len(o) < 2 {
			return DropOption
		}
		size := int(o[1]) * 8
		if size == 0 || size > len(o) {
			return DropOption
		}
		switch typ := o[0]; {
		case typ == optionSource && size == optionLinkSize && p.source == MAC{}:
			p.source = MAC(o[2:8])
		case typ == optionTarget && size == optionLinkSize && p.targetLL == MAC{}:
			p.targetLL = MAC(o[2:8])
		case typ == optionMark && size == optionMarkSize && p.option == nil:
			p.option = o[2:size]
		}
		o = o[size:]
	}
	switch {
	case p.from.IsMulticast() || p.from.IsLoopback():
		return DropSender
	case p.typ == ndpSolicit && p.from.IsUnspecified() && (!isSolicitedNode(p.to) || p.source != MAC{}):
		return DropMalformed
	case p.typ == ndpAdvertise && p.from.IsUnspecified():
		return DropSender
	case p.typ == ndpAdvertise && p.to.IsMulticast() && p.flags&flagSolicited != 0:
		return DropMalformed
	}
	return DropNone
}

func (t *Table) decideNDP(reply []byte, e ether, g Gate) Verdict {
	p, drop := parseNDP(e.payload)
	if drop != DropNone {
		return Verdict{Drop: drop}
	}
	if !e.unicast && (e.to[0] != 0x33 || e.to[1] != 0x33) {
		// RFC 2464 section 7 is the one form of group; a multicast packet sent to one
		// card is fine (RFC 6085).
		return Verdict{Drop: DropNotToUs}
	}
	entry, known := t.entries[p.target]
	senderKnown := false
	if p.typ == ndpSolicit {
		_, senderKnown = t.entries[p.from]
	}
	witness := !known && p.typ == ndpAdvertise && p.flags&flagSolicited != 0 && e.unicast && t.witnesses[p.target]
	if !known && !senderKnown && !witness {
		// Before the checksum: most solicitations are for somebody else.
		return Verdict{Drop: DropUnknown}
	}
	if drop := p.check(); drop != DropNone {
		return Verdict{Drop: drop}
	}
	card := e.from
	if p.typ == ndpSolicit && p.source != (MAC{}) {
		card = p.source
	} else if p.typ == ndpAdvertise && p.targetLL != (MAC{}) {
		card = p.targetLL
	}
	switch {
	case card == t.self.MAC:
		return Verdict{Drop: DropOwn}
	case !card.IsCard():
		return Verdict{Drop: DropSender}
	}
	if witness {
		return t.testified(p.target, card, e, g)
	}
	mark, _ := ParseMark(p.option, p.target, card, t.self.Key)
	if t.myself(mark) {
		return Verdict{Drop: DropOwn, Addr: p.target}
	}
	if p.typ == ndpAdvertise {
		return Verdict{Drop: DropNotAQuestion, Addr: p.target, Heard: t.heardAdvertisement(e, p, card, mark, g)}
	}
	if mark.Kind.word() == Silence {
		mark = Mark{}
	}
	v := Verdict{Drop: DropUnknown}
	if known {
		v.Addr = p.target
	}
	switch {
	case known && t.ours(mark):
		v.Heard = t.heard(mark.Kind.word(), p.target, card, e, mark, g)
	case senderKnown:
		v.Heard = t.heard(HeardClaim, p.from, card, e, Mark{}, g)
	case p.from.IsUnspecified():
		v.Heard = t.heard(HeardProbe, p.target, card, e, Mark{}, g)
	}
	if !known {
		return v
	}
	if v.Drop = t.refuses(mark, entry, g); v.Drop == DropNone {
		v.Reply = t.appendAnswer(reply, p, card, entry, mark)
	}
	return v
}

// heardAdvertisement tells an answer from a claim: by the mark, or without one by the
// Solicited flag. (An answer to duplicate address detection has it clear.)
func (t *Table) heardAdvertisement(e ether, p ndpPacket, card MAC, mark Mark, g Gate) Heard {
	solicited := p.flags&flagSolicited != 0
	switch {
	case mark.Kind == MarkAnswer:
		return t.heard(HeardAnswer, p.target, card, e, mark, g)
	case mark.Kind == MarkClaim && !solicited:
		return t.heard(HeardClaim, p.target, card, e, mark, g)
	case solicited:
		return t.heard(HeardAnswer, p.target, card, e, Mark{}, g)
	}
	return t.heard(HeardClaim, p.target, card, e, Mark{}, g)
}

// appendAnswer appends the advertisement that RFC 4861 section 7.2.4 asks for: Override
// set, as the VIP is neither anycast nor proxied; the target link-layer option always, as
// it must be in answer to a multicast and may be to a unicast; to the asker with Solicited
// set, or to all nodes without it if the asker has no address yet.
func (t *Table) appendAnswer(b []byte, p ndpPacket, card MAC, entry Entry, question Mark) []byte {
	nonce := uint32(0)
	if t.ours(question) {
		nonce = question.Nonce
	}
	a := advertisement{to: card, dst: p.from, flags: flagSolicited | flagOverride}
	if p.from.IsUnspecified() {
		a.dst = allNodes()
		a.to, a.flags = groupMAC(a.dst.As16()), flagOverride
	}
	return t.appendAdvertisement(b, a, entry.Addr, t.mark(MarkAnswer, entry, nonce))
}

// advertisement is what differs between the advertisements of one address.
type advertisement struct {
	to    MAC
	dst   netip.Addr
	flags uint8 // but Router, which Self knows
}

func (t *Table) appendAdvertisement(b []byte, a advertisement, addr netip.Addr, m Mark) []byte {
	flags := a.flags
	if t.self.Router {
		flags |= flagRouter
	}
	return appendNDP(b, ndpFrame{
		to: a.to, card: t.self.MAC, key: t.self.Key, src: addr, dst: a.dst,
		typ: ndpAdvertise, flags: flags, target: addr, linkOption: optionTarget,
	}, m)
}

// ndpFrame is what differs between the frames that are sent.
type ndpFrame struct {
	to, card   MAC
	key        Key
	src, dst   netip.Addr
	typ, flags uint8
	target     netip.Addr
	linkOption uint8
}

// appendNDP appends a frame, without a mark if m is of no kind.
func appendNDP(b []byte, f ndpFrame, m Mark) []byte {
	b = appendEther(b, f.to, f.card, etherIPv6)
	size := byte(ndpSize + optionLinkSize)
	if m.Kind != 0 {
		size += optionMarkSize
	}
	b = append(b, 6<<4, 0, 0, 0, 0, size, ipv6ICMP, ndpHopLimit)
	src, dst, target := f.src.As16(), f.dst.As16(), f.target.As16()
	b = append(b, src[:]...)
	b = append(b, dst[:]...)
	start := len(b)
	b = append(b, f.typ, 0, 0, 0, f.flags, 0, 0, 0)
	b = append(b, target[:]...)
	b = append(b, f.linkOption, optionLinkSize/8)
	b = append(b, f.card[:]...)
	if m.Kind != 0 {
		b = append(b, optionMark, optionMarkSize/8)
		b = AppendMark(b, m, f.target, f.card, f.key)
	}
	binary.BigEndian.PutUint16(b[start+2:], checksum(f.src, f.dst, b[start:]))
	return b
}
