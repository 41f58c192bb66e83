// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"encoding/binary"
	"net/netip"
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
// A mark is no proof against a forger: it has no key. What it asserts is checked against
// the API wherever the API can be read.
type Mark struct {
	Kind        Kind
	Cluster     [8]byte  // the installation; marks of other clusters are strangers
	Incarnation [8]byte  // the running agent, new at every start
	LeaseUID    [16]byte // with Transitions the epoch of the sender
	Transitions uint32
	Standing    Standing
	Flags       uint8  // FlagHears and FlagBare
	Nonce       uint32 // of a question; its answer repeats it
}

// The format of a mark, in network byte order:
//
//	0 magic (4)   4 version   5 kind   6 standing   7 flags   8 reserved (2), zero
//	10 cluster (8)   18 incarnation (8)   26 Lease UID (16)
//	42 transitions (4)   46 nonce (4)   50 sum (4)
//
// With the two octets of an option header it is a multiple of eight, as RFC 4861 section
// 4.6 wants. Reserved octets are covered by the sum and otherwise not looked at.
const (
	markMagic   = 0x41727067 // "Arpg"
	markVersion = 1
	markSize    = 54
	markSumAt   = 50

	optionMark     = 253 // RFC 4727: for experiments
	optionMarkSize = markSize + 2
)

// AppendMark appends the mark of a frame about addr with sender hardware address card.
func AppendMark(b []byte, m Mark, addr netip.Addr, card MAC) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, markMagic)
	b = append(b, markVersion, byte(m.Kind), byte(m.Standing), m.Flags, 0, 0)
	b = append(b, m.Cluster[:]...)
	b = append(b, m.Incarnation[:]...)
	b = append(b, m.LeaseUID[:]...)
	b = binary.BigEndian.AppendUint32(b, m.Transitions)
	b = binary.BigEndian.AppendUint32(b, m.Nonce)
	return binary.BigEndian.AppendUint32(b, markSum(b[start:], addr, card))
}

// ParseMark reads a mark at the start of b; what follows it is ignored. False: there is
// none, or not for this address and card. The sum covers both because padding is
// careless: drivers send what the last frame left in the buffer, and a device that
// answers by turning a request around sends the mark of the request back.
func ParseMark(b []byte, addr netip.Addr, card MAC) (Mark, bool) {
	if len(b) < markSize || binary.BigEndian.Uint32(b) != markMagic || b[4] != markVersion {
		return Mark{}, false
	}
	if binary.BigEndian.Uint32(b[markSumAt:]) != markSum(b[:markSumAt], addr, card) {
		return Mark{}, false
	}
	m := Mark{
		Kind:        Kind(b[5]),
		Standing:    Standing(b[6]),
		Flags:       b[7],
		Cluster:     [8]byte(b[10:18]),
		Incarnation: [8]byte(b[18:26]),
		LeaseUID:    [16]byte(b[26:42]),
		Transitions: binary.BigEndian.Uint32(b[42:46]),
		Nonce:       binary.BigEndian.Uint32(b[46:50]),
	}
	if m.Kind < MarkQuestion || m.Kind > MarkLeaving || m.Standing > StandingLease {
		return Mark{}, false
	}
	return m, true
}

// markSum is FNV-1a over address, card and mark. It has to tell marks from leftovers, not
// from forgeries, and must not allocate.
func markSum(b []byte, addr netip.Addr, card MAC) uint32 {
	const offset, prime = 2166136261, 16777619
	sum := uint32(offset)
	for _, x := range addr.As16() {
		sum = (sum ^ uint32(x)) * prime
	}
	for _, x := range card {
		sum = (sum ^ uint32(x)) * prime
	}
	for _, x := range b {
		sum = (sum ^ uint32(x)) * prime
	}
	return sum
}
