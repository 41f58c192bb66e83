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

// precedes tells whether the Lease is as it was before it was written as o.
func (l Lease) precedes(o Lease) bool { return l.UID == o.UID && l.Transitions < o.Transitions }

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
	// Servable are those of the addresses that this node can serve: it has a working
	// interface for them.
	Servable []netip.Addr
	// Unservable is why it cannot serve the others; empty: it can serve all.
	Unservable string
	// Unready: this node does not forward for the Service yet. It comes last, and accepts
	// no gift.
	Unready bool
	// MoveTo is the node to which the speaker shall hand over.
	MoveTo string
	// DisplaceUID and DisplaceTransitions name the epoch whose speaker may be replaced
	// although it answers.
	DisplaceUID         string
	DisplaceTransitions int32
}

// Standing is the right by which a node speaks.
type Standing uint8

// The standings, the lower first.
const (
	// Wire: it heard nobody, and could not read or write the Lease since.
	Wire Standing = iota + 1
	// Held: it holds the Lease.
	Held
)

// Voice is an agent heard on the wire, by its mark.
type Voice struct {
	// Node that has the card; empty: unknown.
	Node string
	// Addr is what it spoke for; not valid: for all addresses.
	Addr netip.Addr
	// LeaseUID and Transitions are the epoch in which it spoke; an unknown Lease has no UID.
	LeaseUID    string
	Transitions int32
	Standing    Standing
	// Lower: its MAC is lower than that of the own card on the segment, which decides
	// between equals.
	Lower bool
	// Vouched: not heard here; a third node says that it was just answered.
	Vouched bool
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
		// Conflict: the API server answered that the Lease is another by now. Otherwise,
		// without OK, nothing is known of what became of the write.
		Conflict bool
		// Unsent: it was given up before it was sent, as the Lease had changed by then, or
		// another node was heard to speak.
		Unsent bool
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
	// Dead is the detector's verdict that the holder does not answer for these addresses
	// any more, and that this is the holder's fault alone. Since is when the first question
	// was sent that stayed unanswered. Unheard: it never has answered in its epoch.
	Dead struct {
		Addrs   []netip.Addr
		Since   Time
		Unheard bool
	}
	// Audible tells whether the holder is heard on the wire; while it is, nobody needs to
	// read its heartbeat. It is told when it changes, from one holder to the next as well, and
	// begins with false whenever this node comes to stand by.
	Audible struct{ OK bool }
	// Contacted says that a peer's marked question was heard on the segment in this epoch:
	// whoever takes over can be heard here, and will be.
	Contacted struct{}
	// Interrupted says that this node may have missed something: its loop stood still, the
	// carrier or the MAC of its card changed.
	Interrupted struct{}
	// Recalled brings the Lease as it was kept on disk, because the API server does not
	// answer.
	Recalled struct{ Lease Lease }
	// Left says that a node, cut off from the API, ends and asks the others to take over.
	Left struct{ Node string }
	// Inherited says that the agent before this one on the same node has just handed on
	// its voice.
	Inherited struct {
		Lease    Lease
		Standing Standing
	}
	// Leave says that the agent shuts down.
	Leave struct{}
	// Tick says that time has passed: State.Wake was reached.
	Tick struct{}
)

func (PolicySeen) event()  {}
func (PolicyGone) event()  {}
func (LeaseSeen) event()   {}
func (LeaseGone) event()   {}
func (LeaseRead) event()   {}
func (SwapDone) event()    {}
func (Pulse) event()       {}
func (PeerBeat) event()    {}
func (Heard) event()       {}
func (Dead) event()        {}
func (Audible) event()     {}
func (Contacted) event()   {}
func (Interrupted) event() {}
func (Recalled) event()    {}
func (Left) event()        {}
func (Inherited) event()   {}
func (Leave) event()       {}
func (Tick) event()        {}

// Action is something the loop has to do.
type Action interface{ action() }

// Actions.
type (
	// Ask puts a question for every address on the wire: by broadcast and by unicast to the
	// cards of the holder and the candidates; or, with a Node, to its card alone.
	Ask struct{ Node string }
	// Farewell tells the candidates' cards that this node ends (Left).
	Farewell struct{}
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
func (Farewell) action()  {}
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
	OwnerDead                  // the holder is dead on the wire: rule (d)
	OwnerMute                  // the holder never answered in its epoch: rule (e)
	OwnerLeft                  // the holder, cut off from the API, said that it ends
	Remembered                 // the API server is away, and nobody speaks
	Taken                      // the agent before this one on the node handed its voice on

	Gone        // Service, announcement or Lease are gone
	Lost        // another node holds the Lease
	Outranked   // a voice of higher standing was heard
	Leaving     // the agent shuts down
	Excluded    // the announcement excludes this node
	Moved       // the announcement asks for another node
	Unlisted    // the announcement names other nodes, not this one
	CannotServe // no interface to speak on
	CutOff      // the own heartbeats stopped coming back
	Deferred    // another node speaks already
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
	case OwnerDead:
		return "owner silent on the wire"
	case OwnerMute:
		return "owner was never heard"
	case OwnerLeft:
		return "owner shuts down"
	case Remembered:
		return "nobody speaks, and the API server is away"
	case Taken:
		return "the node's agent was replaced"
	case Gone:
		return "the Service has no more address, or is gone"
	case Lost:
		return "the Lease went to another node"
	case Outranked:
		return "a node of higher standing speaks"
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
	case Deferred:
		return "another node speaks already"
	case CutOff:
		return "the node's heartbeats do not reach the API server"
	default:
		return "unknown"
	}
}
