// SPDX-License-Identifier: Apache-2.0

package detector

import "net/netip"

// Kind is what was heard.
type Kind uint8

// The kinds of a Sound. All but the last two are marked frames of agents of this cluster.
const (
	Answer        Kind = iota + 1 // a reply or solicited advertisement of a speaker
	Claim                         // an announcement of a speaker
	Question                      // a peer asks who speaks
	Vouching                      // a peer was just answered by the speaker
	Leaving                       // the speaker ends; nothing follows from it here
	WitnessAnswer                 // a witness answered for its own address
	BareAnswer                    // an answer without mark: whoever it is, no agent's voice
)

func (k Kind) String() string {
	if k > BareAnswer {
		return "invalid"
	}
	return [...]string{"none", "answer", "claim", "question", "vouching", "leaving", "witness", "bare"}[k]
}

// The flags of a question, as they stand in its mark.
const (
	// FlagHears: the asker heard a marked answer of the card it asks, lately.
	FlagHears uint8 = 2
	// FlagBare: it heard answers of that card, but none with a mark.
	FlagBare uint8 = 4
	// FlagDeaf: that card answers what is asked of it alone, but not what is asked of all.
	FlagDeaf uint8 = 8
)

// Sound is a frame that was received about an address.
type Sound struct {
	Kind      Kind
	Interface string
	Addr      netip.Addr
	From      MAC  // the sender's card
	Unicast   bool // it came to this card alone
	// SameLease is whether the mark names the Lease that the address belongs to here;
	// Transitions, Standing, Nonce and Flags are the mark's.
	SameLease   bool
	Transitions int32
	Standing    uint8
	Nonce       uint32
	Flags       uint8
	// At is when it was received, by the kernel's time stamp. It may lie in the past.
	At Time
}
