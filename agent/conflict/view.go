// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"net/netip"
	"slices"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// MAC is a hardware address.
type MAC = neighbor.MAC

// Role is what this node does with an address on an interface.
type Role uint8

// The roles.
const (
	Probe Role = iota + 1 // finds out whether it is free, before its first use
	Speak                 // speaks for it
)

// Place is an address on an interface.
type Place struct {
	Addr      netip.Addr
	Interface string
	Role      Role
	// Wait is how long this node leaves the probing to others.
	Wait Time
	// Quick probes within a second, of Probe; else it takes the four to seven of RFC 5227.
	Quick bool
	// Defend is whether foreign claims are answered by a claim, of Speak.
	Defend bool
	// Subnet is that of the interface which holds the address; invalid if there is none.
	Subnet netip.Prefix
	// Kernels are the nodes of the cluster whose kernel is known to answer for the address
	// itself: their cards are no strangers here.
	Kernels []string
}

func (p Place) pace() pace {
	if p.Quick {
		return quick
	}
	return full
}

func (p Place) equal(o Place) bool {
	return p.Addr == o.Addr && p.Interface == o.Interface && p.Role == o.Role && p.Wait == o.Wait && p.Quick == o.Quick &&
		p.Defend == o.Defend && p.Subnet == o.Subnet && slices.Equal(p.Kernels, o.Kernels)
}

// Kind is what was heard.
type Kind uint8

// The kinds of a Sound: frames without a mark of this cluster, from cards that are not this
// node's.
const (
	Claimed  Kind = iota + 1 // an announcement, or any frame whose sender has the address
	Answered                 // a reply or solicited advertisement
	Probed                   // somebody probes the address for its own use
	Control                  // an answer to a control question
)

// Sound is a frame that was received.
type Sound struct {
	Kind      Kind
	Interface string
	Addr      netip.Addr
	// Card is the hardware address that caches take from the frame.
	Card MAC
	// Node of this cluster that has the card; empty: none is known to.
	Node string
}

// Reason is what a stranger is. Its numbers have no meaning.
type Reason uint8

// The reasons. The zero Reason: not known yet.
const (
	ForeignHost    Reason = iota + 1 // a host that is no node of the cluster
	ProxyAnswers                     // a device that answers for everything
	OtherAnnouncer                   // the card of a node, without the mark of an agent
)

// blocks is whether the address cannot be used for the first time.
func (r Reason) blocks() bool { return r == ForeignHost || r == OtherAnnouncer }

// Finding is a stranger that uses an address.
type Finding struct {
	Card   MAC
	Node   string // whose card it is; empty: no node's
	Reason Reason
}

// Output is something to be done or to be known: Ask, Listen, AskControl, Defend, Cleared or
// Report.
type Output interface{ output() }

// Ask is a marked question for an address that is to be sent to everyone. Of Probe: by IPv4 with
// the sender 0.0.0.0; by IPv6 in the form of duplicate address detection (Solicitation) and in
// that of an ordinary question, as some hosts answer only the one.
type Ask struct {
	Interface string
	Addr      netip.Addr
	Probe     bool
}

// Listen says which control addresses of a path the table of the interface is to hear the answers
// of from now on; none: no more.
type Listen struct {
	Interface string
	V6        bool
	Addrs     []netip.Addr
}

// AskControl is an ordinary question to be sent to everyone, as any host would.
type AskControl struct {
	Interface string
	Addr      netip.Addr
}

// Defend is a claim to be sent to everyone, once.
type Defend struct {
	Interface string
	Addr      netip.Addr
}

// Cleared says that an address was probed on all interfaces of its Lease, and is free.
type Cleared struct {
	Lease string
	Addr  netip.Addr
}

// Report tells who uses an address on an interface, whenever that is somebody else than before;
// nobody: the conflict is over.
type Report struct {
	Lease     string
	Addr      netip.Addr
	Interface string
	Findings  []Finding
}

func (Ask) output()        {}
func (Listen) output()     {}
func (AskControl) output() {}
func (Defend) output()     {}
func (Cleared) output()    {}
func (Report) output()     {}
