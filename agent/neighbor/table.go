// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"iter"
	"net/netip"
)

// Self is what a port must know of its own card and agent.
type Self struct {
	// MAC of the card; every frame sent carries it.
	MAC MAC
	// Cluster and Incarnation go into every mark.
	Cluster     [8]byte
	Incarnation [8]byte
	// Key is the installation's secret, by which marks are told from forgeries.
	Key Key
	// Router is whether the kernel would set the Router flag in its own advertisements
	// on this interface: receivers take it over from each one (RFC 4861 section 7.2.5).
	Router bool
	// IPv4 is an address the node has on this interface, invalid if it has none: the
	// sender of questions in the own-address form.
	IPv4 netip.Addr
	// LinkLocal is the link-local address of the interface, invalid if it has none: the
	// source of solicitations. A node without one cannot ask by IPv6.
	LinkLocal netip.Addr
}

// Entry is one address a port knows. Frames about other addresses are dropped.
type Entry struct {
	Addr netip.Addr
	// Voice is whether this node speaks for the address. Without it the port only
	// listens.
	Voice bool
	// Muted holds a voice back that was interrupted, until it has asked.
	Muted bool
	// NeedsEcho closes the gate at Gate.EchoUntil: the voice ends when the heartbeat
	// can no longer be known to be fresh. Unset where the agent may outlive it.
	NeedsEcho bool
	// Join asks for membership in the solicited-node group of an IPv6 address even
	// without a voice, so that a snooping switch is ready before a takeover is. A voice
	// always has it.
	Join bool
	// Witness is an address of somebody else that is only listened for: its answers to
	// Probe prove that this card hears the segment. It has no voice and no group, and
	// nothing but an answer to this card is heard of it.
	Witness bool
	// Ping is whether echo requests for the address are answered, by ICMP and ICMPv6,
	// where a question for it would be.
	Ping bool
	// The epoch and the standing, for the marks.
	LeaseUID    [16]byte
	Transitions uint32
	Standing    Standing
}

// Table is what one port knows. It never changes: a change is another Table.
type Table struct {
	self      Self
	entries   map[netip.Addr]Entry
	witnesses map[netip.Addr]bool // none of them is in entries
}

// NewTable makes the table of a port. Of several entries for one address the last
// counts, but a VIP is never a witness; entries with no or an IPv4-in-IPv6 address are
// taken as what they mean, or left out.
func NewTable(self Self, entries []Entry) *Table {
	t := &Table{self: self, entries: make(map[netip.Addr]Entry, len(entries))}
	t.self.IPv4, t.self.LinkLocal = self.IPv4.Unmap(), self.LinkLocal.WithZone("")
	for _, e := range entries {
		e.Addr = e.Addr.Unmap().WithZone("")
		if !e.Addr.IsValid() {
			continue
		}
		if !e.Witness {
			t.entries[e.Addr] = e
			continue
		}
		if t.witnesses == nil {
			t.witnesses = map[netip.Addr]bool{}
		}
		t.witnesses[e.Addr] = true
	}
	for addr := range t.entries {
		delete(t.witnesses, addr)
	}
	return t
}

// Self gives what the table was made with.
func (t *Table) Self() Self { return t.self }

// Lookup finds the entry of an address.
func (t *Table) Lookup(addr netip.Addr) (Entry, bool) {
	addr = addr.Unmap().WithZone("")
	if t.witnesses[addr] {
		return Entry{Addr: addr, Witness: true}, true
	}
	e, ok := t.entries[addr]
	return e, ok
}

// All gives every entry once, witnesses included, in no order.
func (t *Table) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range t.entries {
			if !yield(e) {
				return
			}
		}
		for addr := range t.witnesses {
			if !yield(Entry{Addr: addr, Witness: true}) {
				return
			}
		}
	}
}

// Len is the number of addresses.
func (t *Table) Len() int { return len(t.entries) + len(t.witnesses) }

// Groups gives the solicited-node groups (RFC 4291 section 2.7.1) the table wants the
// interface to be a member of, each with the number of addresses that share it.
func (t *Table) Groups() map[netip.Addr]int {
	groups := map[netip.Addr]int{}
	for addr, e := range t.entries {
		if addr.Is6() && (e.Voice || e.Join) {
			groups[SolicitedNode(addr)]++
		}
	}
	return groups
}

// SolicitedNode is the multicast group of an IPv6 address (RFC 4291 section 2.7.1).
func SolicitedNode(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

// groupMAC is the Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
func groupMAC(group [16]byte) MAC {
	return MAC{0x33, 0x33, group[12], group[13], group[14], group[15]}
}
