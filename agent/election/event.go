// SPDX-License-Identifier: Apache-2.0

package election

import "net/netip"

// Lease is what the machine knows of a Lease object. The zero Lease stands for none.
type Lease struct {
	// UID and Transitions make the epoch.
	UID         string
	Transitions int32
	// ResourceVersion is what a write has to match.
	ResourceVersion string
	// Holder is the node in holderIdentity; empty: vacant.
	Holder string
	// ServiceUID is the Service for which the manager made the Lease.
	ServiceUID string
}

// sameEpoch tells whether two readings show the Lease in one epoch.
func (l Lease) sameEpoch(o Lease) bool { return l.UID == o.UID && l.Transitions == o.Transitions }

// Policy is what the VIPAnnouncement says, as far as it concerns this node.
type Policy struct {
	// ServiceUID must be the Lease's, or the two do not belong together.
	ServiceUID string
	// Addresses of the Service.
	Addresses []netip.Addr
	// Candidates may take the Lease, the preferred one first.
	Candidates []string
	// Excluded is why this node must not speak; empty: it may.
	Excluded string
	// Unservable is why this node cannot speak (no interface, no carrier); empty: it can.
	Unservable string
	// MoveTo is the node to which the speaker shall hand over.
	MoveTo string
	// DisplaceUID and DisplaceTransitions name the epoch whose speaker may be replaced
	// although it answers.
	DisplaceUID         string
	DisplaceTransitions int32
}

// Voice is an agent heard on the wire, by its mark.
type Voice struct {
	// MAC is the card that spoke, as six octets.
	MAC [6]byte
	// LeaseUID and Transitions are the epoch in which it spoke.
	LeaseUID    string
	Transitions int32
}

// Event is something that happened.
type Event interface{ event() }

// Events. Results of actions are events too.
type (
	// PolicySeen brings a new or changed policy.
	PolicySeen struct{ Policy Policy }
	// PolicyGone says that the announcement was deleted.
	PolicyGone struct{}
	// LeaseSeen brings the Lease as the watch has it.
	LeaseSeen struct{ Lease Lease }
	// LeaseGone says that the watch saw the Lease deleted.
	LeaseGone struct{}
	// LeaseRead answers ReadLease: the Lease by a quorum read; OK is false when it could
	// not be read.
	LeaseRead struct {
		Lease Lease
		OK    bool
	}
	// SwapDone answers Swap: OK with the Lease as written, or not.
	SwapDone struct {
		Attempt int
		OK      bool
		Lease   Lease
	}
	// Pulse brings the own heartbeats' state, whenever one came back.
	Pulse struct{ Heart Heart }
	// PeerBeat is a quorum read of another node's heartbeat: asked and came are when the
	// read was sent and answered, Seen is opaque and changes with every heartbeat (empty:
	// the heartbeat is gone).
	PeerBeat struct {
		Node        string
		Asked, Came Time
		Seen        string
		Leaving     bool
	}
	// Heard is a marked answer or claim of another card for one of the addresses.
	Heard struct{ Voice Voice }
	// Leave says that the agent shuts down.
	Leave struct{}
	// Tick says that time has passed: State.Wake was reached.
	Tick struct{}
)

func (PolicySeen) event() {}
func (PolicyGone) event() {}
func (LeaseSeen) event()  {}
func (LeaseGone) event()  {}
func (LeaseRead) event()  {}
func (SwapDone) event()   {}
func (Pulse) event()      {}
func (PeerBeat) event()   {}
func (Heard) event()      {}
func (Leave) event()      {}
func (Tick) event()       {}

// Action is something the loop has to do.
type Action interface{ action() }

// Actions.
type (
	// Ask puts a question for every address on the wire: by broadcast, and by unicast to
	// the card of Node where there is one; Quiet leaves the broadcast out.
	Ask struct {
		Node  string
		Quiet bool
	}
	// ReadLease reads the Lease by quorum; LeaseRead answers.
	ReadLease struct{}
	// Swap writes holder and transitions if the Lease still has this UID and
	// ResourceVersion; SwapDone answers.
	Swap struct {
		Attempt     int
		Lease       Lease
		Holder      string
		Transitions int32
	}
	// Speak says that the voice began: announce and report it.
	Speak struct {
		Why  Why
		From string // the node that spoke before; empty: none known
		Took Time   // since the first suspicion, or since the gift was seen
	}
	// Hush says that the voice ended.
	Hush struct {
		Why Why
		// Detail says more where the policy does: why the node is excluded, or cannot serve.
		Detail string
		To     string // who speaks now, where that is known
	}
)

func (Ask) action()       {}
func (ReadLease) action() {}
func (Swap) action()      {}
func (Speak) action()     {}
func (Hush) action()      {}

// Reason gives Why and Detail as they stand in Events.
func (h Hush) Reason() string {
	if h.Detail == "" {
		return h.Why.String()
	}
	return h.Why.String() + ": " + h.Detail
}

// Why is the reason of a change of voice.
type Why uint8

// Reasons to speak, then reasons to fall silent.
const (
	Vacant      Why = iota + 1 // nobody held the Lease: rule (a)
	Resumed                    // this node held it already: rule (b)
	OwnerSilent                // the holder's heartbeat stood still and nobody answered: rule (c)
	Displaced                  // the manager ordered it: rule (g)
	Given                      // the speaker handed over

	Gone        // Service, announcement or Lease are gone
	Lost        // another node holds the Lease
	Outranked   // a voice of higher standing was heard
	Leaving     // the agent shuts down
	Excluded    // the announcement excludes this node
	Moved       // the announcement asks for another node
	Unlisted    // the announcement names other nodes, not this one
	CannotServe // no interface to speak on
	Interrupted // the own heartbeats stopped coming back
)

// String gives the reason as it stands in Events.
func (w Why) String() string {
	switch w {
	case Vacant:
		return "nobody held the Lease"
	case Resumed:
		return "the node's agent started again and the Lease still names it"
	case OwnerSilent:
		return "owner silent"
	case Displaced:
		return "owner displaced by the manager"
	case Given:
		return "handed over"
	case Gone:
		return "the Service has no more address, or is gone"
	case Lost:
		return "the Lease went to another node"
	case Outranked:
		return "a node of a later epoch speaks"
	case Leaving:
		return "the node's agent shuts down"
	case Excluded:
		return "the node is excluded"
	case Moved:
		return "a move was asked for"
	case Unlisted:
		return "other nodes are preferred, this one is no candidate any more"
	case CannotServe:
		return "the node has no interface to speak on"
	case Interrupted:
		return "the node's heartbeats do not reach the API server"
	default:
		return "unknown"
	}
}
