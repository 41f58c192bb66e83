// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"net/netip"
	"slices"
)

// MAC is a hardware address; the zero MAC is none.
type MAC = [6]byte

// broadcast reaches every card: by IPv4 ff:ff:ff:ff:ff:ff, by IPv6 the solicited-node
// group of the address.
var broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Path is where frames go: an interface and a family. What is true of one path says
// nothing of another.
type Path struct {
	Interface string
	V6        bool
}

// Role is what this node has to do with a Lease's addresses.
type Role uint8

// The roles.
const (
	Away  Role = iota // nothing
	Stand             // another node speaks; this one may take over
	Speak             // this node speaks
)

func (r Role) String() string {
	if r > Speak {
		return "invalid"
	}
	return [...]string{"Away", "Stand", "Speak"}[r]
}

// View is a Lease as this node sees it.
type View struct {
	Role Role
	// Near, of Stand: this node is one of the first standbys and asks of its own accord.
	// The others only join in when they hear a question.
	Near bool
	// Since is when the present epoch was first seen here.
	Since Time
	// Transitions is the number of the present epoch.
	Transitions int32
	Places      []Place
}

// Place is one address of a Lease and how it is reached.
type Place struct {
	Addr      netip.Addr
	Interface string
	// Speaker, of Stand, is the card that should answer. Zero: not known, nothing is
	// asked until it is heard.
	Speaker MAC
	// Ghost, of Speak, is the card of the node that was replaced without its own hand.
	// Zero: there is none.
	Ghost MAC
}

func (v View) equal(o View) bool {
	return v.Role == o.Role && v.Near == o.Near && v.Since == o.Since &&
		v.Transitions == o.Transitions && slices.Equal(v.Places, o.Places)
}

// Witness is somebody whose answer proves that this node is heard and hears on a path.
type Witness struct {
	Addr netip.Addr
	// Card is whom to ask. Zero: it is not known, and asked for by broadcast.
	Card MAC
	// Gateway is whether it is a router: if it used to answer and does not, the others
	// prove nothing.
	Gateway bool
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
