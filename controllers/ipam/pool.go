// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
)

const (
	fieldAddresses = "addresses"
	fieldExclude   = "exclude"
)

// PoolSpec is a pool as its user writes it.
type PoolSpec struct {
	Name               string
	Addresses, Exclude []string
	Priority           int32
	OnRequestOnly      bool // given only to Services that name the pool or an address of it
	Drained            bool // nothing new is given
	UseEdges           bool // network, broadcast, .0 and .255 addresses are handed out too
	Yields             bool // an address in use that another host uses too is given up
}

// Reserved are addresses that are somebody else's whatever a pool says.
type Reserved struct {
	ServiceCIDRs []netip.Prefix // ranges of ClusterIPs
	Nodes        []NodeAddress
}

// NodeAddress is an address of a node.
type NodeAddress struct {
	Node string
	Addr netip.Addr
}

// OverlapKind says whose else addresses of a pool are.
type OverlapKind uint8

// Whose addresses they are.
const (
	OverlapPool OverlapKind = iota
	OverlapServiceCIDR
	OverlapNode
)

// Overlap is addresses of a pool that are also somebody else's.
type Overlap struct {
	Kind   OverlapKind
	Other  string // the other pool, the CIDR, or the node
	Common Set
}

// Pool is a set of addresses. It does not change once it is made.
type Pool struct {
	PoolSpec
	// Err says why the pool cannot be used: an *EntryError. Such a pool holds nothing.
	Err error
	// Overlaps are ordered by kind, then by the other's name.
	Overlaps []Overlap

	entries Set // as written
	held    Set // without the excluded ones
	alone   Set // written one by one: these are handed out even if they look like edges
	edges   Set // network and broadcast addresses of the CIDRs, where these are avoided
	usable  Set // held, without overlaps and edges; IPv4 .0 and .255 are still in it
}

// newPool reads a pool; overlaps are found when all pools are known.
func newPool(spec PoolSpec) *Pool {
	p := &Pool{PoolSpec: spec}
	entries, err := parse(fieldAddresses, spec.Addresses)
	if err != nil {
		p.Err = err
		return p
	}
	excluded, err := parse(fieldExclude, spec.Exclude)
	if err != nil {
		p.Err = err
		return p
	}
	for _, e := range entries {
		p.entries.Add(e.Range)
		if e.alone() {
			p.alone.Add(e.Range)
		} else if !spec.UseEdges {
			p.addEdges(e.prefix)
		}
	}
	p.edges.removeSet(&p.alone)
	p.held = p.entries.clone()
	for _, e := range excluded {
		p.held.Remove(e.Range)
	}
	p.usable = p.held.clone()
	p.usable.removeSet(&p.edges)
	return p
}

// addEdges notes the network and broadcast address of an IPv4 prefix, and the network
// address of an IPv6 prefix (the subnet-router anycast address, RFC 4291 2.6.1). Prefixes
// of two addresses have none (RFC 3021, RFC 6164).
func (p *Pool) addEdges(prefix netip.Prefix) {
	if !prefix.IsValid() || prefix.Bits() >= prefix.Addr().BitLen()-1 {
		return
	}
	r := prefixRange(prefix)
	p.edges.Add(One(r.First))
	if prefix.Addr().Is4() {
		p.edges.Add(One(r.Last))
	}
}

// Holds tells whether the address is the pool's and not excluded. It may still be one
// that is not handed out.
func (p *Pool) Holds(a netip.Addr) bool { return p.held.Contains(a) }

// edge tells whether the pool avoids the address for its place in a network.
func (p *Pool) edge(a netip.Addr) bool {
	return p.edges.Contains(a) || p.lastByteEdge(a) && !p.alone.Contains(a)
}

// lastByteEdge tells whether the pool avoids the address for its last byte: old clients
// and routers drop packets to IPv4 addresses that end in .0 or .255 (RFC 4632 5.1 made
// them ordinary ones).
func (p *Pool) lastByteEdge(a netip.Addr) bool {
	if p.UseEdges || !a.Is4() {
		return false
	}
	last := a.As4()[3]
	return last == 0 || last == 255
}

// Has tells whether the pool has addresses of the family at all.
func (p *Pool) Has(f Family) bool {
	return slices.ContainsFunc(p.entries.ranges, func(r Range) bool { return FamilyOf(r.First) == f })
}

// Capacity counts the addresses of a family that may be handed out; what does not fit
// stands at the largest int64.
func (p *Pool) Capacity(f Family) int64 {
	return clamp(p.count(f, func(r Range) uint64 { return r.size() }))
}

// Available counts the addresses of a family that can still be given, likewise.
func (p *Pool) Available(f Family, l *Ledger) int64 {
	free := p.count(f, Range.size)
	used := p.usable.intersect(&l.taken)
	var taken uint64
	for _, r := range used.ranges {
		if FamilyOf(r.First) == f {
			taken = saturatingAdd(taken, p.handable(r, r.size()))
		}
	}
	if free == math.MaxUint64 {
		return math.MaxInt64
	}
	return clamp(free - taken)
}

// count adds up the addresses of a family that may be handed out.
func (p *Pool) count(f Family, size func(Range) uint64) uint64 {
	var n uint64
	for _, r := range p.usable.ranges {
		if FamilyOf(r.First) == f {
			n = saturatingAdd(n, p.handable(r, size(r)))
		}
	}
	return n
}

// handable is the size of a range of usable addresses without those that lastByteEdge
// avoids.
func (p *Pool) handable(r Range, size uint64) uint64 {
	if p.UseEdges || !r.First.Is4() {
		return size
	}
	size -= lastByteEdges(r)
	for _, a := range p.alone.ranges {
		first, last := a.First, a.Last
		if first.Less(r.First) {
			first = r.First
		}
		if r.Last.Less(last) {
			last = r.Last
		}
		if first.Is4() && last.Is4() && first.Compare(last) <= 0 {
			size += lastByteEdges(Range{First: first, Last: last})
		}
	}
	return size
}

// lastByteEdges counts the addresses of an IPv4 range that end in .0 or .255.
func lastByteEdges(r Range) uint64 {
	upTo := func(n uint64) uint64 { return (n+255)/256 + n/256 } // of the first n addresses
	number := func(a netip.Addr) uint64 {
		b := a.As4()
		return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	}
	return upTo(number(r.Last)+1) - upTo(number(r.First))
}

// free gives the lowest address of a family that the pool may hand out and nobody has.
func (p *Pool) free(f Family, l *Ledger) (netip.Addr, bool) {
	for _, r := range p.usable.ranges {
		if FamilyOf(r.First) != f {
			continue
		}
		a := l.taken.firstAbsent(r.First)
		for a.IsValid() && r.contains(a) {
			if !p.edge(a) {
				return a, true
			}
			a = l.taken.firstAbsent(a.Next())
		}
	}
	return netip.Addr{}, false
}

// Pools are all pools of a cluster. They do not change once they are made.
type Pools struct {
	list   []*Pool // the higher priority first, then by name
	byName map[string]*Pool
}

// NewPools reads the pools and finds what they have in common with each other and with
// what is reserved; such addresses are never handed out.
func NewPools(specs []PoolSpec, reserved Reserved) Pools {
	ps := Pools{byName: make(map[string]*Pool, len(specs))}
	for _, spec := range specs {
		p := newPool(spec)
		ps.list = append(ps.list, p)
		ps.byName[spec.Name] = p
	}
	slices.SortFunc(ps.list, func(a, b *Pool) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	for i, p := range ps.list {
		for _, q := range ps.list[i+1:] {
			if common := p.held.intersect(&q.held); !common.Empty() {
				p.Overlaps = append(p.Overlaps, Overlap{OverlapPool, q.Name, common})
				q.Overlaps = append(q.Overlaps, Overlap{OverlapPool, p.Name, common})
			}
		}
		p.reserve(reserved)
		slices.SortFunc(p.Overlaps, func(a, b Overlap) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Other, b.Other))
		})
		for _, o := range p.Overlaps {
			p.usable.removeSet(&o.Common)
		}
	}
	return ps
}

// reserve notes the overlaps with what is reserved.
func (p *Pool) reserve(reserved Reserved) {
	for _, cidr := range reserved.ServiceCIDRs {
		if common := p.held.intersect(&Set{ranges: []Range{prefixRange(cidr)}}); !common.Empty() {
			p.Overlaps = append(p.Overlaps, Overlap{OverlapServiceCIDR, cidr.String(), common})
		}
	}
	for _, n := range reserved.Nodes {
		if p.held.Contains(n.Addr) {
			p.Overlaps = append(p.Overlaps, Overlap{OverlapNode, n.Node, Set{ranges: []Range{One(n.Addr)}}})
		}
	}
}

// Get gives the pool of a name, or nil.
func (ps Pools) Get(name string) *Pool { return ps.byName[name] }

// All gives the pools in the order in which they are asked for addresses.
func (ps Pools) All() []*Pool { return ps.list }

// clamp makes a count one of the API.
func clamp(n uint64) int64 {
	if n > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}
