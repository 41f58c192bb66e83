// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"net/netip"
	"slices"
)

const (
	// MaxCandidates keeps an announcement small: every agent holds all of them.
	MaxCandidates = 8
	// MaxExcluded does the same for the nodes that are excluded by name.
	MaxExcluded = 16
)

// Labels, taints and conditions by which a node is told to take no part.
const (
	ExcludeLabel      = "node.kubernetes.io/exclude-from-external-load-balancers" // KEP-1143
	OutOfServiceTaint = "node.kubernetes.io/out-of-service"                       // KEP-2268
	NetworkCondition  = "NetworkUnavailable"
)

// Node is what is known of a node, as far as it bears on one Service.
type Node struct {
	Name string
	// Selected: the policy's nodeSelector matches.
	Selected bool
	// ExcludedByLabel, OutOfService, NetworkUnavailable: it is told to take no part.
	ExcludedByLabel, OutOfService, NetworkUnavailable bool
	// Weight is the sum of the preferences that match.
	Weight int
	// Reported: an agent has told the node's interfaces.
	Reported bool
	// Interfaces are the names of those that could carry a VIP.
	Interfaces []string
	// Reaches tells, for each address of the question, whether the node has an interface
	// on which it could be announced.
	Reaches []bool
	// Endpoint: a pod of the Service is ready on the node.
	Endpoint bool
	// Silent: its agent has not been heard for long.
	Silent bool
}

// Question is what Rank answers.
type Question struct {
	// Key of the Service, which spreads Services over nodes: "namespace/name".
	Key string
	// Addresses of the Service: one or two.
	Addresses []netip.Addr
	// Patterns of interfaces; none: whichever fits the address.
	Patterns []string
	// Local: only nodes with an endpoint may speak (externalTrafficPolicy Local).
	Local bool
	// Owner is the node that speaks now; empty: none does.
	Owner string
	Nodes []Node
}

// Refusal says why a node may not speak.
type Refusal struct {
	Node string
	Why  string
}

// Ranking is the answer.
type Ranking struct {
	// Candidates may speak; the first is preferred. At most MaxCandidates.
	Candidates []string
	// Excluded must not speak, with the reason. At most MaxExcluded, the owner among them
	// if it is excluded.
	Excluded map[string]string
	// Refusals say of each node that is no candidate why it is none, by name.
	Refusals []Refusal
}

// Rank orders the nodes that may speak.
func Rank(q Question) Ranking {
	r := Ranking{Excluded: map[string]string{}}
	var full, partial []Node // serve all addresses, only one of two
	var excluded []Refusal
	for _, n := range q.Nodes {
		if why := exclusion(n); why != "" {
			excluded = append(excluded, Refusal{n.Name, why})
			continue
		}
		why, some := q.inability(n)
		switch {
		case why == "":
			full = append(full, n)
		case some:
			partial = append(partial, n)
		default:
			r.Refusals = append(r.Refusals, Refusal{n.Name, why})
		}
	}
	q.sort(full)
	q.sort(partial)
	if slices.ContainsFunc(full, func(n Node) bool { return !n.Silent }) {
		for _, n := range partial {
			why, _ := q.inability(n)
			r.Refusals = append(r.Refusals, Refusal{n.Name, why + "; other nodes can serve all addresses of the Service"})
		}
		partial = nil
	}
	for _, n := range append(full, partial...) {
		if len(r.Candidates) < MaxCandidates {
			r.Candidates = append(r.Candidates, n.Name)
		}
	}
	r.Refusals = append(r.Refusals, excluded...)
	slices.SortFunc(r.Refusals, func(a, b Refusal) int { return cmp.Compare(a.Node, b.Node) })
	r.Excluded = q.named(excluded)
	return r
}

// exclusion says why a node must not speak, whoever else may: somebody wants it so.
func exclusion(n Node) string {
	switch {
	case n.ExcludedByLabel:
		return "label " + ExcludeLabel + " is set"
	case n.OutOfService:
		return "taint " + OutOfServiceTaint + " is set"
	case n.NetworkUnavailable:
		return "condition " + NetworkCondition + " is true"
	case !n.Selected:
		return "the pool's nodeSelector does not match"
	}
	return ""
}

// sort orders nodes: the owner stays, silent ones go last, the preferred ones first, and
// equal ones as the hash of Service and node has it.
func (q *Question) sort(nodes []Node) {
	first := func(n Node) int {
		switch {
		case n.Name == q.Owner:
			return 0
		case n.Silent:
			return 2
		}
		return 1
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(
			cmp.Compare(first(a), first(b)),
			cmp.Compare(b.Weight, a.Weight),
			cmp.Compare(score(q.Key, b.Name), score(q.Key, a.Name)),
			cmp.Compare(a.Name, b.Name),
		)
	})
}

// named limits the excluded nodes to as many as an announcement holds.
func (q *Question) named(excluded []Refusal) map[string]string {
	slices.SortFunc(excluded, func(a, b Refusal) int {
		return cmp.Or(isOther(a.Node, q.Owner)-isOther(b.Node, q.Owner), cmp.Compare(a.Node, b.Node))
	})
	names := make(map[string]string, min(len(excluded), MaxExcluded))
	for _, e := range excluded[:min(len(excluded), MaxExcluded)] {
		names[e.Node] = e.Why
	}
	return names
}

// isOther is 0 for the owner and 1 for others.
func isOther(node, owner string) int {
	if node == owner {
		return 0
	}
	return 1
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
