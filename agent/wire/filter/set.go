// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Set is a set of addresses of one family as a filter sees them: as intervals of keys, sorted,
// with gaps between them. It may hold more than it was made of.
type Set []span

// span is an interval of keys, both ends included.
type span struct{ low, high uint32 }

// mixFactor spreads what stands before the last word of an IPv6 address over the keys. It is
// odd, so no bit of a word is lost by itself: 2^32 divided by the golden ratio.
const mixFactor = 0x9e3779b1

// keyOf gives the key of an address. That of IPv4 is the address. That of IPv6 is its last word
// moved by a number that comes of the three before: neighbours in one /96 stay neighbours, and
// pools of different prefixes lie far apart, as a rule.
func keyOf(addr netip.Addr) uint32 {
	if addr.Is4() {
		b := addr.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := addr.As16()
	key := uint32(0)
	for i := 0; i < 16; i += 4 {
		key = key*mixFactor + binary.BigEndian.Uint32(b[i:])
	}
	return key
}

// NewSet makes the set of the addresses, which are of one family.
func NewSet(addrs []netip.Addr) Set {
	keys := make([]uint32, len(addrs))
	for i, a := range addrs {
		keys[i] = keyOf(a)
	}
	slices.Sort(keys)
	var s Set
	for _, k := range keys {
		if n := len(s); n > 0 && k-s[n-1].high <= 1 {
			s[n-1].high = k
			continue
		}
		s = append(s, span{k, k})
	}
	return s
}

// Has tells whether the set holds the address, or takes it for one that it holds.
func (s Set) Has(addr netip.Addr) bool {
	key := keyOf(addr)
	i, found := slices.BinarySearchFunc(s, key, func(x span, k uint32) int { return cmp.Compare(x.low, k) })
	return found || i > 0 && key <= s[i-1].high
}

// coarse gives the set in at most n intervals, n at least 1, by closing the smallest gaps.
func (s Set) coarse(n int) Set {
	if len(s) <= n {
		return s
	}
	// A gap is known by the interval that follows it.
	gaps := make([]int, 0, len(s)-1)
	for i := 1; i < len(s); i++ {
		gaps = append(gaps, i)
	}
	size := func(i int) uint32 { return s[i].low - s[i-1].high }
	slices.SortFunc(gaps, func(a, b int) int { return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(a, b)) })
	closed := make([]bool, len(s))
	for _, i := range gaps[:len(s)-n] {
		closed[i] = true
	}
	c := make(Set, 0, n)
	for i, x := range s {
		if closed[i] {
			c[len(c)-1].high = x.high
			continue
		}
		c = append(c, x)
	}
	return c
}
