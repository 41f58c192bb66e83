// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"net/netip"
	"time"
)

// Drop is why a frame was not answered. Drops below NumDrops index an array of counters.
type Drop uint8

// The reasons. DropNone: the frame was answered.
const (
	DropNone         Drop = iota
	DropTruncated         // shorter than its own headers say
	DropProtocol          // neither ARP for IPv4 on Ethernet, NDP nor an echo request
	DropOwn               // sent by this card or by this agent
	DropNotToUs           // unicast to another card
	DropSender            // a sender that cannot be one: group address or none
	DropMalformed         // fields that contradict each other or the RFC
	DropHopLimit          // came over a router (RFC 4861 section 7.1)
	DropChecksum          // ICMPv6 checksum
	DropOption            // an option of length zero or beyond the packet (RFC 4861 section 7.1); any of IPv4
	DropFragment          // an echo request in fragments
	DropUnknown           // about an address the table does not hold
	DropNotAQuestion      // reply, advertisement or announcement: nothing to answer
	DropNoPing            // an echo request for an address that answers none
	DropNoVoice           // this node does not speak for the address
	DropLoopLate          // gate: the control loop has not ticked
	DropStale             // gate: the frame waited too long
	DropNoEcho            // gate: the heartbeat is not known to be fresh
	DropHigher            // gate: a higher voice was heard a moment ago
	NumDrops
)

var dropNames = [NumDrops]string{
	"none", "truncated", "protocol", "own", "not_to_us", "sender", "malformed", "hop_limit",
	"checksum", "option", "fragment", "unknown_address", "not_a_question", "no_ping", "no_voice",
	"loop_late", "stale", "no_echo", "higher_voice",
}

// String gives the name that the metric has as its label.
func (d Drop) String() string {
	if d < NumDrops {
		return dropNames[d]
	}
	return "invalid"
}

// Gate is whether the reason is a shut gate: this node speaks for the address, but not
// at this moment.
func (d Drop) Gate() bool { return d >= DropLoopLate && d < NumDrops }

// Sound is what kind of frame was heard.
type Sound uint8

// The sounds a port passes on.
const (
	Silence Sound = iota
	// HeardQuestion is a marked question of a peer.
	HeardQuestion
	// HeardProbe is an unmarked ARP probe (RFC 5227 section 2.1.1) or a solicitation of
	// duplicate address detection (RFC 4862 section 5.4.2): somebody wants the address.
	HeardProbe
	// HeardAnswer is a reply or a solicited advertisement for the address.
	HeardAnswer
	// HeardClaim is an announcement of the address, or any other frame whose sender has
	// it as its own (RFC 5227 section 2.4).
	HeardClaim
	// HeardVouch is a peer's marked word that it is answered (MarkVouch).
	HeardVouch
	// HeardLeaving is a speaker's marked word that it ends (MarkLeaving).
	HeardLeaving
	// HeardWitness is an answer of a witness (Entry.Witness). It has no mark.
	HeardWitness
)

func (s Sound) String() string {
	names := [...]string{"silence", "question", "probe", "answer", "claim", "vouch", "leaving", "witness", "invalid"}
	return names[min(int(s), len(names)-1)]
}

// Heard is what somebody else said about an address of the table.
type Heard struct {
	Sound Sound
	Addr  netip.Addr
	// MAC is the sender's hardware address as the ARP packet or the link-layer option
	// gives it: the one that caches take. EtherSource is the card that sent the frame;
	// they differ behind proxies.
	MAC         MAC
	EtherSource MAC
	// Unicast is whether the frame came to this card alone.
	Unicast bool
	// Marked is whether an agent of this cluster said it. Mark.Kind is zero without any
	// mark; a mark of another cluster is there to be named, and counts as no mark.
	Marked bool
	Mark   Mark
	// Age is the frame's age; what is older than FrameLimit tells of the past.
	Age time.Duration
}

// Verdict is what is to be done with a frame. Both an answer and something heard are
// possible: a peer's question is.
type Verdict struct {
	// Drop is DropNone if there is a Reply.
	Drop Drop
	// Reply is the frame to send, nil for none.
	Reply []byte
	// Echo is whether the Reply is an echo reply.
	Echo bool
	// Addr is the address the frame is about, if the table holds it.
	Addr netip.Addr
	// Heard has the sound Silence if there is nothing to pass on.
	Heard Heard
}

// Question is whether the frame asked for an address of the table, by ARP, NDP or an echo
// request, answered or not.
func (v Verdict) Question() bool {
	return v.Drop == DropNone || v.Drop == DropNoVoice || v.Drop.Gate()
}
