// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"slices"
)

// place is a node that may speak.
type place struct {
	Node
	partial bool // it serves one address of two
	score   uint64
	merits  merits // for the rank that is given away
}

// merits are what two nodes are compared by, the weightiest first; less is better.
type merits [8]int

// compare orders by merits; equal ones as the hash of Service and node has it.
func compare(a, b place) int {
	return cmp.Or(slices.Compare(a.merits[:], b.merits[:]), cmp.Compare(b.score, a.score), cmp.Compare(a.Name, b.Name))
}

// order puts the nodes that may speak in their order: the first, the two standbys that
// watch it, and the others as the hash of Service and node has it.
func (q *Question) order(full, partial []Node) []string {
	rest := make([]place, 0, len(full)+len(partial))
	for _, n := range full {
		rest = append(rest, place{Node: n, score: score(q.Key, n.Name)})
	}
	for _, n := range partial {
		rest = append(rest, place{Node: n, score: score(q.Key, n.Name), partial: true})
	}
	chosen := make([]place, 0, 3)
	for _, rank := range []func(*place, []place) merits{q.asFirst, q.asNext, q.asSecond} {
		best := 0
		for i := range rest {
			rest[i].merits = rank(&rest[i], chosen)
			if compare(rest[i], rest[best]) < 0 {
				best = i
			}
		}
		if len(rest) > 0 {
			chosen = append(chosen, rest[best])
			rest = slices.Delete(rest, best, best+1)
		}
	}
	for i := range rest {
		rest[i].merits = q.asOther(&rest[i])
	}
	slices.SortFunc(rest, compare)
	var names []string
	for _, p := range append(chosen, rest...) {
		if len(names) < MaxCandidates {
			names = append(names, p.Name)
		}
	}
	return names
}

// asFirst: the owner stays. Else a node that was first before stays so among equals, and
// otherwise the one that is first for the fewest Services is taken. One Service after the
// other, equal nodes thus differ by at most one; and a node that is added takes new
// Services until it has its share.
func (q *Question) asFirst(p *place, _ []place) merits {
	return merits{
		bit(p.Name != q.Owner), bit(p.partial), bit(p.Silent), -p.Weight, q.cordoned(p),
		bit(len(q.Before) == 0 || p.Name != q.Before[0]), q.Load[p.Name],
	}
}

// asNext: the first standby takes the Service when the first goes, so what counts is what
// it would then carry: its own load, and that of all Services of this first it is next
// for. It stays as long as no other would carry two less; moving a standby disturbs
// nobody.
func (q *Question) asNext(p *place, chosen []place) merits {
	first := chosen[0].Name
	incumbent := len(q.Before) > 1 && q.Before[0] == first && q.Before[1] == p.Name
	burden := q.Load[p.Name] + q.Standby[Pair{first, p.Name}] - bit(incumbent)
	return merits{bit(p.partial), bit(p.Silent), -p.Weight, q.cordoned(p), taken(p, chosen), bit(p.Name == q.Left), burden, bit(!incumbent)}
}

// asSecond: the second standby stands in a third zone. If the first two share a zone,
// because others are preferred less, leaving that zone comes before preference: owner and
// standbys are not to go with one rack.
func (q *Question) asSecond(p *place, chosen []place) merits {
	apart := 0
	if chosen[0].Zone == chosen[1].Zone {
		apart = taken(p, chosen)
	}
	return merits{bit(p.partial), bit(p.Silent), apart, -p.Weight, q.cordoned(p), taken(p, chosen), bit(p.Name == q.Left)}
}

// asOther: nothing but preference and the hash orders those behind.
func (q *Question) asOther(p *place) merits {
	return merits{bit(p.partial), bit(p.Silent), -p.Weight, q.cordoned(p)}
}

// cordoned counts only while nobody owns the Service: what stands is not moved by it.
func (q *Question) cordoned(p *place) int { return bit(p.Cordoned && q.Owner == "") }

// taken tells whether one of those chosen is in the node's zone.
func taken(p *place, chosen []place) int {
	return bit(slices.ContainsFunc(chosen, func(c place) bool { return c.Zone == p.Zone }))
}

// bit is 1 for true.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// score is the weight of a node in the rendezvous hash of a Service (Thaler and
// Ravishankar, 1998): FNV-1a over both names, finished as in MurmurHash3 so that similar
// names do not give similar scores.
func score(key, node string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, s := range [...]string{key, "\x00", node} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
