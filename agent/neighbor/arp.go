// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"encoding/binary"
	"net/netip"
)

// The ARP packet for IPv4 on Ethernet (RFC 826).
const (
	arpSize     = 28
	arpHardware = 1
	arpProtocol = 0x0800
	arpRequest  = 1
	arpReply    = 2
)

// arpPacket is the part of an ARP packet that differs between packets.
type arpPacket struct {
	op             uint16
	senderMAC      MAC
	sender         netip.Addr
	targetMAC      MAC
	target         netip.Addr
	trailer        []byte
	gratuitous     bool // sender = target: an announcement (RFC 5227 section 2.3)
	senderUnstated bool // sender 0.0.0.0: a probe (RFC 5227 section 2.1.1)
}

func parseARP(b []byte) (arpPacket, Drop) {
	if len(b) < arpSize {
		return arpPacket{}, DropTruncated
	}
	if binary.BigEndian.Uint16(b[0:]) != arpHardware || binary.BigEndian.Uint16(b[2:]) != arpProtocol ||
		b[4] != 6 || b[5] != 4 {
		return arpPacket{}, DropProtocol
	}
	p := arpPacket{
		op:        binary.BigEndian.Uint16(b[6:]),
		senderMAC: MAC(b[8:14]),
		sender:    netip.AddrFrom4([4]byte(b[14:18])),
		targetMAC: MAC(b[18:24]),
		target:    netip.AddrFrom4([4]byte(b[24:28])),
		trailer:   b[arpSize:],
	}
	p.senderUnstated = p.sender.IsUnspecified()
	p.gratuitous = p.sender == p.target
	switch {
	case p.op != arpRequest && p.op != arpReply:
		return arpPacket{}, DropProtocol
	case !p.senderMAC.IsCard() || p.sender.IsMulticast():
		return arpPacket{}, DropSender
	case p.senderUnstated && (p.op == arpReply || p.target.IsUnspecified()):
		return arpPacket{}, DropMalformed
	}
	return p, DropNone
}

func (t *Table) decideARP(reply []byte, e ether, g Gate) Verdict {
	p, drop := parseARP(e.payload)
	switch {
	case drop != DropNone:
		return Verdict{Drop: drop}
	case p.senderMAC == t.self.MAC:
		return Verdict{Drop: DropOwn}
	case !e.unicast && e.to != Broadcast():
		// Caught in promiscuous mode, or a group nobody asks by (RFC 826: broadcast).
		return Verdict{Drop: DropNotToUs}
	case p.op == arpRequest && !p.gratuitous:
		return t.decideARPRequest(reply, e, p, g)
	}
	// A reply, or an announcement in either form: who knows the sender takes its MAC from
	// each of them (RFC 826), so each is a word about the sender's address.
	if _, known := t.entries[p.sender]; !known {
		if !p.gratuitous && e.unicast && t.witnesses[p.sender] {
			return t.testified(p.sender, p.senderMAC, e, g)
		}
		return Verdict{Drop: DropUnknown}
	}
	sound, kind := HeardAnswer, MarkAnswer
	if p.gratuitous {
		sound, kind = HeardClaim, MarkClaim
	}
	mark, _ := ParseMark(p.trailer, p.sender, p.senderMAC, t.self.Key)
	if mark.Kind != kind {
		mark = Mark{}
	}
	if t.myself(mark) {
		return Verdict{Drop: DropOwn, Addr: p.sender}
	}
	return Verdict{
		Drop: DropNotAQuestion, Addr: p.sender,
		Heard: t.heard(sound, p.sender, p.senderMAC, e, mark, g),
	}
}

func (t *Table) decideARPRequest(reply []byte, e ether, p arpPacket, g Gate) Verdict {
	entry, known := t.entries[p.target]
	_, senderKnown := t.entries[p.sender]
	if !known && !senderKnown {
		return Verdict{Drop: DropUnknown}
	}
	v := Verdict{Drop: DropUnknown}
	var mark Mark
	if known {
		v.Addr = p.target
		if mark, _ = ParseMark(p.trailer, p.target, p.senderMAC, t.self.Key); mark.Kind.word() == Silence {
			mark = Mark{}
		}
		if t.myself(mark) {
			return Verdict{Drop: DropOwn, Addr: p.target}
		}
	}
	switch {
	case t.ours(mark):
		v.Heard = t.heard(mark.Kind.word(), p.target, p.senderMAC, e, mark, g)
	case senderKnown:
		// Asking with an address of the table as one's own is using it (RFC 5227
		// section 2.4).
		v.Heard = t.heard(HeardClaim, p.sender, p.senderMAC, e, Mark{}, g)
	case p.senderUnstated:
		v.Heard = t.heard(HeardProbe, p.target, p.senderMAC, e, Mark{}, g)
	}
	if !known {
		return v
	}
	if v.Drop = t.refuses(mark, entry, g); v.Drop != DropNone {
		return v
	}
	nonce := uint32(0)
	if t.ours(mark) {
		nonce = mark.Nonce
	}
	// RFC 826: the request turned around, with what was asked for filled in. The sender
	// of a probe is 0.0.0.0, and so is the target of its answer.
	v.Reply = appendARP(reply, p.senderMAC, arpPacket{
		op:        arpReply,
		senderMAC: t.self.MAC, sender: p.target,
		targetMAC: p.senderMAC, target: p.sender,
	})
	v.Reply = AppendMark(v.Reply, t.mark(MarkAnswer, entry, nonce), p.target, t.self.MAC, t.self.Key)
	return v
}

// appendARP appends the frame of an ARP packet without its trailer.
func appendARP(b []byte, to MAC, p arpPacket) []byte {
	b = appendEther(b, to, p.senderMAC, etherARP)
	b = binary.BigEndian.AppendUint16(b, arpHardware)
	b = binary.BigEndian.AppendUint16(b, arpProtocol)
	b = append(b, 6, 4)
	b = binary.BigEndian.AppendUint16(b, p.op)
	sender, target := p.sender.As4(), p.target.As4()
	b = append(b, p.senderMAC[:]...)
	b = append(b, sender[:]...)
	b = append(b, p.targetMAC[:]...)
	return append(b, target[:]...)
}
