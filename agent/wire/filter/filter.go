// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"net/netip"
	"slices"
	"sort"

	"golang.org/x/net/bpf"
)

// MaxInstructions is the length of the longest program that Linux takes (BPF_MAXINSNS).
const MaxInstructions = 4096

// Kind is what a filter is for: one kind, one socket.
type Kind uint8

// The kinds. A socket of NDP or Echo6 sees every IPv6 packet of the node, one of Echo4 every IPv4
// packet, so what drops most of them stands first.
const (
	// ARP passes requests for and by the addresses, replies by them, and replies by witnesses.
	ARP Kind = iota
	// NDP passes solicitations for and by the addresses, advertisements of them, and
	// advertisements of witnesses, all with hop limit 255 (RFC 4861 section 7.1); and, whatever the
	// addresses, queries of multicast listeners (RFC 3810 section 5.1).
	NDP
	// Echo4 and Echo6 pass echo requests to the addresses, sent to this card alone.
	Echo4
	Echo6
	NumKinds
)

func (k Kind) String() string {
	return [...]string{"ARP", "NDP", "ICMP echo", "ICMPv6 echo", "invalid"}[min(k, NumKinds)]
}

// Filter is a program, and what is known to pass it.
type Filter struct {
	// Code is the program; it is not to be changed.
	Code []bpf.Instruction

	general          bool
	asked, witnesses Set     // what passes
	of               *[2]Set // what was asked for; nil: whatever comes
}

// Of tells whether the filter was built of these very sets.
func (f Filter) Of(asked, witnesses Set) bool {
	return f.of != nil && slices.Equal(f.of[0], asked) && slices.Equal(f.of[1], witnesses)
}

// Covers tells whether everything about an address passes that would pass a filter built for it;
// witness: as far as it concerns a witness.
func (f Filter) Covers(addr netip.Addr, witness bool) bool {
	return f.general || f.asked.Has(addr) || witness && f.witnesses.Has(addr)
}

// General is a filter that looks at no address.
func General(k Kind) Filter {
	c := &code{}
	drop, pass := c.end(0), c.end(wholeFrame)
	frame(c, k, pass, drop, func() { c.next(pass) })
	return Filter{Code: c.program(), general: true}
}

// Build makes the filter of a socket for the addresses asked about and those of witnesses, which
// only ARP and NDP know, in at most limit instructions. What it takes to get there is precision:
// where even one interval is too much, the filter is the general one, however long.
func Build(k Kind, asked, witnesses Set, limit int) Filter {
	of := &[2]Set{asked, witnesses}
	build := func(intervals int) Filter {
		f := Filter{asked: asked.coarse(intervals), witnesses: witnesses.coarse(intervals), of: of}
		f.Code = compile(k, f.asked, f.witnesses)
		return f
	}
	// An interval takes an instruction at least.
	most := min(max(len(asked), len(witnesses), 1), max(limit, 1))
	f := build(most)
	if len(f.Code) <= limit {
		return f
	}
	i := sort.Search(most-1, func(i int) bool {
		f = build(most - 1 - i)
		return len(f.Code) <= limit
	})
	if i == most-1 {
		f = General(k)
		f.of = of
		return f
	}
	return build(most - 1 - i)
}

func compile(k Kind, asked, witnesses Set) []bpf.Instruction {
	c := &code{}
	drop, pass := c.end(0), c.end(wholeFrame)
	frame(c, k, pass, drop, func() {
		switch k {
		case ARP:
			addressesARP(c, asked, witnesses, pass, drop)
		case NDP:
			addressesNDP(c, asked, witnesses, pass, drop)
		case Echo4:
			c.next(c.search(asked, pass, drop))
			c.put(bpf.LoadAbsolute{Off: ip + 16, Size: 4})
		default:
			c.next(c.search(asked, pass, drop))
			c.key(ip + 24)
		}
	})
	return c.program()
}
