// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// Interface can carry a VIP.
type Interface struct {
	Name  string
	Index int
	MAC   neighbor.MAC
	MTU   int
	// Prefixes are its addresses with their subnets' lengths, sorted; without link-local
	// and temporary ones and those not yet, or not, found to be unique.
	Prefixes []netip.Prefix
	// DefaultRoute4 and DefaultRoute6 are whether the best default route leaves here.
	DefaultRoute4, DefaultRoute6 bool
	// Gateways4 and Gateways6 are the next hops of the default routes that leave here,
	// each by the family of its own address; sorted, link-local ones without a zone.
	Gateways4, Gateways6 []netip.Addr
	// Neighbors are addresses of others that the kernel had a MAC for lately, gateways left
	// out: at most four of each family, sorted. They are those of the moment at which
	// the picture was made, and a change of them alone is not told.
	Neighbors []netip.Addr
	// IPv4 is the first primary address, LinkLocal the first link-local one of IPv6 that
	// is usable; invalid if there is none.
	IPv4, LinkLocal netip.Addr
	// Router is whether the kernel forwards IPv6 that comes in here, and so sets the
	// Router flag in its advertisements (RFC 4861 section 4.4).
	Router bool
}

// Refusal is an interface that cannot carry a VIP.
type Refusal struct {
	Name string
	// Reason goes on after the name: "is a port of bond0: name bond0 instead".
	Reason string
}

// compare orders by name.
func (r Refusal) compare(o Refusal) int { return cmp.Compare(r.Name, o.Name) }

// Snapshot is the picture at one moment, sorted by name.
type Snapshot struct {
	Interfaces []Interface
	// Refused are those somebody might have meant; loopbacks, the cables of containers and
	// other devices that come and go are left out.
	Refused []Refusal
	// Locals are the addresses for which the kernel itself answers on these interfaces, sorted.
	Locals []Local
}

// Equal is whether nothing changed that is told of: neighbours come and go.
func (s Snapshot) Equal(o Snapshot) bool {
	return s.SameLinks(o) && sameLocals(s.Locals, o.Locals)
}

// SameLinks is whether nothing changed but, perhaps, Locals.
func (s Snapshot) SameLinks(o Snapshot) bool {
	return reflect.DeepEqual(s.lasting(), o.lasting())
}

// lasting is the picture of the interfaces without neighbours.
func (s Snapshot) lasting() Snapshot {
	s.Locals = nil
	s.Interfaces = slices.Clone(s.Interfaces)
	for i := range s.Interfaces {
		s.Interfaces[i].Neighbors = nil
	}
	return s
}

// Find finds an interface by name.
func (s Snapshot) Find(name string) (Interface, bool) {
	for _, i := range s.Interfaces {
		if i.Name == name {
			return i, true
		}
	}
	return Interface{}, false
}

// Facts is the part of the picture that the others are told.
func (s Snapshot) Facts(version string) v1alpha1.Facts {
	f := v1alpha1.Facts{Version: version, Interfaces: make([]v1alpha1.InterfaceFacts, 0, len(s.Interfaces))}
	for _, i := range s.Interfaces {
		var prefixes []string
		for _, p := range i.Prefixes {
			prefixes = append(prefixes, p.String())
		}
		f.Interfaces = append(f.Interfaces, v1alpha1.InterfaceFacts{
			Name: i.Name, MAC: i.MAC.String(), Prefixes: prefixes,
			DefaultRoute4: i.DefaultRoute4, DefaultRoute6: i.DefaultRoute6,
		})
	}
	for _, r := range s.likeliest() {
		f.Refused = append(f.Refused, v1alpha1.RefusedInterface{Name: r.Name, Why: r.Reason})
	}
	return f
}

// likeliest are as many of the refused as facts may hold, by name. Ports of others come first:
// cards are what people name, and the others can mostly be seen not to be the LAN. (A card with
// many virtual functions has a device for each.)
func (s Snapshot) likeliest() []Refusal {
	refused := slices.Clone(s.Refused)
	slices.SortFunc(refused, func(a, b Refusal) int {
		return cmp.Or(a.unlikely()-b.unlikely(), a.compare(b))
	})
	refused = refused[:min(len(refused), v1alpha1.MaxRefused)]
	slices.SortFunc(refused, Refusal.compare)
	return refused
}

// unlikely is 0 for a port of another interface, 1 for what is not.
func (r Refusal) unlikely() int {
	if strings.HasPrefix(r.Reason, "is a port of ") {
		return 0
	}
	return 1
}
