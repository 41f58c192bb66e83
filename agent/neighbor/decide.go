// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"encoding/binary"
	"net/netip"
)

const (
	etherSize = 14
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

// ReplySize is the capacity with which a reply buffer is never grown by an answer to ARP or
// neighbor discovery. The answer to an echo request is as long as that.
const ReplySize = etherSize + ipv6Size + ndpSize + optionLinkSize + optionMarkSize

// Decide says what is to be done with a frame as it came from the wire, Ethernet header
// included, padded, cut short or garbage. An answer is appended to reply. The verdict
// keeps nothing of the frame, and of reply only Verdict.Reply.
func (t *Table) Decide(reply, frame []byte, g Gate) Verdict {
	if len(frame) < etherSize {
		return Verdict{Drop: DropTruncated}
	}
	e := ether{
		to:      MAC(frame[0:6]),
		from:    MAC(frame[6:12]),
		payload: frame[etherSize:],
	}
	if e.from == t.self.MAC {
		return Verdict{Drop: DropOwn}
	}
	if !e.from.IsCard() {
		return Verdict{Drop: DropSender}
	}
	e.unicast = e.to == t.self.MAC
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case etherARP:
		return t.decideARP(reply, e, g)
	case etherIPv4:
		return t.decideEcho(reply, e, parseEcho4, g)
	case etherIPv6:
		if isEcho6(e.payload) {
			return t.decideEcho(reply, e, parseEcho6, g)
		}
		return t.decideNDP(reply, e, g)
	}
	return Verdict{Drop: DropProtocol}
}

// ether is a frame without its header.
type ether struct {
	to, from MAC
	unicast  bool // to this card
	payload  []byte
}

// heard fills in what all sounds have in common. The mark counts only if it is of the kind
// that fits the frame.
func (t *Table) heard(s Sound, addr netip.Addr, card MAC, e ether, mark Mark, g Gate) Heard {
	return Heard{
		Sound: s, Addr: addr, MAC: card, EtherSource: e.from, Unicast: e.unicast,
		Marked: t.ours(mark), Mark: mark, Age: g.FrameAge,
	}
}

// testified is the verdict on the answer of a witness.
func (t *Table) testified(addr netip.Addr, card MAC, e ether, g Gate) Verdict {
	return Verdict{
		Drop: DropNotAQuestion, Addr: addr,
		Heard: t.heard(HeardWitness, addr, card, e, Mark{}, g),
	}
}

// ours is whether the mark is of an agent of this cluster.
func (t *Table) ours(m Mark) bool { return m.Kind != 0 && m.Cluster == t.self.Cluster }

// myself is whether the mark is this agent's: it heard itself by another card.
func (t *Table) myself(m Mark) bool { return t.ours(m) && m.Incarnation == t.self.Incarnation }

// refuses says why a frame in the form of a question about the entry, with that mark, is
// not answered; DropNone if it is.
func (t *Table) refuses(m Mark, e Entry, g Gate) Drop {
	if m.Kind.statement() {
		return DropNotAQuestion
	}
	return g.admits(e, t.self.MAC)
}

// mark is the mark of a frame about the entry.
func (t *Table) mark(k Kind, e Entry, nonce uint32) Mark {
	return Mark{
		Kind: k, Cluster: t.self.Cluster, Incarnation: t.self.Incarnation,
		LeaseUID: e.LeaseUID, Transitions: e.Transitions, Standing: e.Standing, Nonce: nonce,
	}
}

func appendEther(b []byte, to, from MAC, etherType uint16) []byte {
	b = append(b, to[:]...)
	b = append(b, from[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}
