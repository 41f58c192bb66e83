// SPDX-License-Identifier: Apache-2.0

package detector

import "net/netip"

// Output is something to be done or to be known: Ask, AskWitness, Vouch, Dead, Audible,
// Contacted or Ghost.
type Output interface{ output() }

// Ask is a marked question to be sent.
type Ask struct {
	Lease     string
	Interface string
	Addr      netip.Addr
	// To is a card, or ff:ff:ff:ff:ff:ff for all.
	To MAC
	// Zero asks with the sender 0.0.0.0 (RFC 5227 section 2.1.1), else with an address of
	// this node. IPv4 only.
	Zero  bool
	Nonce uint32
	Flags uint8
}

// AskWitness is an ordinary question to be sent, as any host would.
type AskWitness struct {
	Interface string
	Addr      netip.Addr
	To        MAC
}

// Vouch is a marked word to be sent to a peer that asked in vain: the speaker of that
// epoch just answered this node.
type Vouch struct {
	Lease       string
	Interface   string
	Addr        netip.Addr
	To          MAC
	Transitions int32
	Nonce       uint32 // of the peer's question
}

// Dead tells that addresses of a Lease do not answer, by no fault of this node. It is
// repeated about every Config.Again as long as that is so, and to be acted on only fresh.
type Dead struct {
	Lease string
	// Addrs are all addresses of the Lease that are dead at this moment.
	Addrs []netip.Addr
	// Since is when the first question went out that stayed without answer.
	Since Time
	// Unheard: the address never answered in its epoch, while its speaker answers for
	// others. It comes alone, and seldom.
	Unheard bool
}

// Audible tells, when it changes, whether this node, a near standby, hears the speaker.
// At first it does not. While it does not, a death is not seen here.
type Audible struct {
	Lease string
	OK    bool
}

// Contacted tells, once an epoch, that a peer's question reached this node: whoever speaks here can be contradicted.
type Contacted struct {
	Lease string
}

// Ghost tells that another card answers for an address this node speaks for, by no higher
// right: it is to be met with a claim to that card.
type Ghost struct {
	Lease     string
	Interface string
	Addr      netip.Addr
	Card      MAC
}

func (Ask) output()        {}
func (AskWitness) output() {}
func (Vouch) output()      {}
func (Dead) output()       {}
func (Audible) output()    {}
func (Contacted) output()  {}
func (Ghost) output()      {}

// Watched is what peers say of hearing this node on the paths of a Lease it speaks for.
type Watched struct {
	Asked bool // some peer asked within Config.WatchedFor
	Hears bool // and heard marked answers
	Bare  bool // none heard marked answers, some did without mark
	// Deaf is the card of a peer that is answered only if it asks this card alone, while
	// others answer what it asks of all; zero: there is none.
	Deaf MAC
}
