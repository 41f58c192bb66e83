// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"encoding/binary"
	"net/netip"

	"github.com/dchest/siphash"
)

// Kind is what a mark says its frame to be.
type Kind uint8

// The kinds of a mark. Their numbers are part of the format.
const (
	MarkQuestion Kind = 1 // asks whether a peer speaks for the address
	MarkAnswer   Kind = 2 // answers a request or solicitation, marked or not
	MarkClaim    Kind = 3 // announces that the sender speaks for the address from now on
	// MarkVouch tells an asker, by unicast, that the speaker of this epoch has just
	// answered the sender: it is the path to the asker that is broken.
	MarkVouch Kind = 4
	// MarkLeaving tells the candidates that the speaker ends: one may take over at once.
	MarkLeaving Kind = 5
)

func (k Kind) String() string {
	switch k {
	case MarkQuestion:
		return "question"
	case MarkAnswer:
		return "answer"
	case MarkClaim:
		return "claim"
	case MarkVouch:
		return "vouch"
	case MarkLeaving:
		return "leaving"
	default:
		return "none"
	}
}

// word is the sound of a frame with such a mark in the form of a question; Silence if the
// kind has another form.
func (k Kind) word() Sound {
	switch k {
	case MarkQuestion:
		return HeardQuestion
	case MarkVouch:
		return HeardVouch
	case MarkLeaving:
		return HeardLeaving
	default:
		return Silence
	}
}

// statement is whether the kind has the form of a question but is none: it is not answered.
func (k Kind) statement() bool { return k == MarkVouch || k == MarkLeaving }

// The flags of a question's mark: what the asker knows of itself and hears of the speaker.
// Their bits are part of the format; those without a name are zero and not looked at.
const (
	FlagHears uint8 = 2 // it hears marked answers of the speaker
	FlagBare  uint8 = 4 // it hears answers, but their mark is lost on the way
	FlagDeaf  uint8 = 8 // it hears answers to what it asks of this card alone, none to what it asks of all
)

// Standing is the right by which an agent speaks for an address.
type Standing uint8

// The standings, the lower first. Their numbers are part of the format.
const (
	StandingNone  Standing = 0 // it does not speak
	StandingWire  Standing = 1 // it spoke, asked in vain or claimed, and could not read the Lease
	StandingLease Standing = 2 // it holds the Lease
)

func (s Standing) String() string {
	switch s {
	case StandingWire:
		return "wire"
	case StandingLease:
		return "lease"
	default:
		return "none"
	}
}

// Mark tells the frames of agents from those of kernels, proxies, foreign hosts and other
// announcers, and carries what an agent must know of its peer to yield or to insist.
// It follows the 28 octets of an ARP packet, where Ethernet has padding anyway, and rides
// in NDP as an option of type 253, which RFC 4727 sets aside for such use: whoever does
// not know it takes no notice (RFC 826; RFC 4861 section 4.6).
//
// Its tag proves that an agent with the installation's key once said it about this address
// and with this card: a host without the key can neither forge a mark nor change one.
//
// It does not prove that it was said now: who recorded a frame can send it again, and who
// asks a speaker gets a marked answer to record. What was said in an earlier epoch ranks
// below the present voice and ends nothing. What was said in the present one counts again,
// for as long as it is sent: it makes a speaker that has died since seem alive, which puts
// off a takeover or ends a voice that stands lower in that epoch. Only the order to displace
// that speaker does not wait for it. A question's nonce ties an answer to it where a round
// trip is measured, and nowhere else.
type Mark struct {
	Kind        Kind
	Cluster     [8]byte  // the installation; marks of other clusters are strangers
	Incarnation [8]byte  // the running agent, new at every start
	LeaseUID    [16]byte // with Transitions the epoch of the sender
	Transitions uint32
	Standing    Standing
	Flags       uint8  // FlagHears, FlagBare, FlagDeaf
	Nonce       uint32 // of a question; its answer repeats it
}

// Key is the secret of an installation, which all its agents share. The zero key is one
// that everybody knows: with it a tag tells marks from leftovers in the padding, but not
// from forgeries.
type Key [16]byte

// String does not give the key away.
func (k Key) String() string {
	if k == (Key{}) {
		return "no key"
	}
	return "a key"
}

// The format of a mark, in network byte order:
//
//	0 magic (2)   2 version   3 kind   4 standing   5 flags
//	6 cluster (8)   14 incarnation (8)   22 Lease UID (16)
//	38 transitions (4)   42 nonce (4)   46 tag (8)
//
// With the two octets of an option header it is a multiple of eight, as RFC 4861 section
// 4.6 wants. The tag is the 64-bit SipHash-2-4 of address (16 octets), card (6) and what
// stands before the tag, its octets in the order that SipHash gives them.
const (
	markMagic   = 0x4172 // "Ar"
	markVersion = 1
	markSize    = 54
	markTagAt   = 46

	optionMark     = 253 // RFC 4727: for experiments
	optionMarkSize = markSize + 2
)

// AppendMark appends the mark of a frame about addr with sender hardware address card.
func AppendMark(b []byte, m Mark, addr netip.Addr, card MAC, key Key) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, markMagic)
	b = append(b, markVersion, byte(m.Kind), byte(m.Standing), m.Flags)
	b = append(b, m.Cluster[:]...)
	b = append(b, m.Incarnation[:]...)
	b = append(b, m.LeaseUID[:]...)
	b = binary.BigEndian.AppendUint32(b, m.Transitions)
	b = binary.BigEndian.AppendUint32(b, m.Nonce)
	return binary.LittleEndian.AppendUint64(b, markTag([markTagAt]byte(b[start:]), addr, card, key))
}

// ParseMark reads a mark at the start of b; what follows it is ignored. False: there is
// none, or not for this address, card and key. The tag covers address and card because
// padding is careless: drivers send what the last frame left in the buffer, and a device
// that answers by turning a request around sends the mark of the request back.
func ParseMark(b []byte, addr netip.Addr, card MAC, key Key) (Mark, bool) {
	if len(b) < markSize || binary.BigEndian.Uint16(b) != markMagic || b[2] != markVersion {
		return Mark{}, false
	}
	m := Mark{
		Kind:        Kind(b[3]),
		Standing:    Standing(b[4]),
		Flags:       b[5],
		Cluster:     [8]byte(b[6:14]),
		Incarnation: [8]byte(b[14:22]),
		LeaseUID:    [16]byte(b[22:38]),
		Transitions: binary.BigEndian.Uint32(b[38:42]),
		Nonce:       binary.BigEndian.Uint32(b[42:46]),
	}
	if m.Kind < MarkQuestion || m.Kind > MarkLeaving || m.Standing > StandingLease {
		return Mark{}, false
	}
	if binary.LittleEndian.Uint64(b[markTagAt:]) != markTag([markTagAt]byte(b), addr, card, key) {
		return Mark{}, false
	}
	return m, true
}

// markTag allocates nothing.
func markTag(mark [markTagAt]byte, addr netip.Addr, card MAC, key Key) uint64 {
	var b [16 + len(card) + len(mark)]byte
	a := addr.As16()
	copy(b[:], a[:])
	copy(b[16:], card[:])
	copy(b[16+len(card):], mark[:])
	return siphash.Hash(binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:]), b[:])
}
