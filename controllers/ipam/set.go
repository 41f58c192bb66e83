// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Family of an address.
type Family uint8

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf gives the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// String is "IPv4" or "IPv6", as in a Service's spec.ipFamilies.
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// Range is the addresses from First to Last, both included and of one family.
type Range struct {
	First, Last netip.Addr
}

// One is the range of a single address.
func One(a netip.Addr) Range { return Range{First: a, Last: a} }

// String is the range as a user writes it in a pool.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// contains tells whether the address is in the range.
func (r Range) contains(a netip.Addr) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// size counts the addresses of the range; what does not fit stands at the largest uint64.
func (r Range) size() uint64 {
	a, b := r.First.As16(), r.Last.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(a[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(a[:8]), borrow)
	if high > 0 || low == math.MaxUint64 {
		return math.MaxUint64
	}
	return low + 1
}

// Set is a set of addresses of both families: disjoint ranges that do not touch, in
// order. Its zero value is empty. Ranges cost memory, addresses do not.
type Set struct {
	ranges []Range
}

// Ranges gives the ranges of the set, in order. The caller does not change them.
func (s *Set) Ranges() []Range { return s.ranges }

// Empty tells whether the set holds nothing.
func (s *Set) Empty() bool { return len(s.ranges) == 0 }

// String lists the ranges, for messages.
func (s *Set) String() string {
	parts := make([]string, 0, len(s.ranges))
	for _, r := range s.ranges {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, ", ")
}

// Contains tells whether the address is in the set.
func (s *Set) Contains(a netip.Addr) bool {
	i := s.from(a)
	return i < len(s.ranges) && s.ranges[i].contains(a)
}

// Add puts a range into the set.
func (s *Set) Add(r Range) {
	lo, _ := slices.BinarySearchFunc(s.ranges, r.First, func(e Range, a netip.Addr) int {
		if e.Last.Less(a) && e.Last.Next() != a {
			return -1
		}
		return 1
	})
	hi := lo
	for ; hi < len(s.ranges); hi++ {
		e := s.ranges[hi]
		if r.Last.Less(e.First) && r.Last.Next() != e.First {
			break
		}
		if e.First.Less(r.First) {
			r.First = e.First
		}
		if r.Last.Less(e.Last) {
			r.Last = e.Last
		}
	}
	s.ranges = slices.Replace(s.ranges, lo, hi, r)
}

// Remove takes a range out of the set.
func (s *Set) Remove(r Range) {
	lo := s.from(r.First)
	hi := lo
	var rest []Range
	for ; hi < len(s.ranges); hi++ {
		e := s.ranges[hi]
		if r.Last.Less(e.First) {
			break
		}
		if e.First.Less(r.First) {
			rest = append(rest, Range{First: e.First, Last: r.First.Prev()})
		}
		if r.Last.Less(e.Last) {
			rest = append(rest, Range{First: r.Last.Next(), Last: e.Last})
		}
	}
	s.ranges = slices.Replace(s.ranges, lo, hi, rest...)
}

// removeSet takes another set out of this one.
func (s *Set) removeSet(o *Set) {
	for _, r := range o.ranges {
		s.Remove(r)
	}
}

// clone gives a set that shares nothing with this one.
func (s *Set) clone() Set { return Set{ranges: slices.Clone(s.ranges)} }

// intersect gives what is in both sets.
func (s *Set) intersect(o *Set) Set {
	var both Set
	for i, j := 0, 0; i < len(s.ranges) && j < len(o.ranges); {
		a, b := s.ranges[i], o.ranges[j]
		first, last := a.First, a.Last
		if first.Less(b.First) {
			first = b.First
		}
		if b.Last.Less(last) {
			last = b.Last
		}
		if first.Compare(last) <= 0 {
			both.ranges = append(both.ranges, Range{First: first, Last: last})
		}
		if a.Last.Less(b.Last) {
			i++
		} else {
			j++
		}
	}
	return both
}

// firstAbsent gives the first address from a on, a included, that is not in the set; an
// invalid address when there is none.
func (s *Set) firstAbsent(a netip.Addr) netip.Addr {
	i := s.from(a)
	if i < len(s.ranges) && s.ranges[i].contains(a) {
		return s.ranges[i].Last.Next()
	}
	return a
}

// from gives the index of the first range that does not end before the address.
func (s *Set) from(a netip.Addr) int {
	i, _ := slices.BinarySearchFunc(s.ranges, a, func(e Range, a netip.Addr) int {
		if e.Last.Less(a) {
			return -1
		}
		return 1
	})
	return i
}

// saturatingAdd adds; what does not fit stands at the largest uint64.
func saturatingAdd(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}
