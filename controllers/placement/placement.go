// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

const (
	// MaxCandidates keeps an announcement small: every agent holds all of them.
	MaxCandidates = 8
	// MaxExcluded does the same for the nodes that are excluded by name.
	MaxExcluded = 16
)

// Labels, taints, conditions and annotations by which a node is told to take no part.
const (
	ExcludeLabel      = "node.kubernetes.io/exclude-from-external-load-balancers" // KEP-1143
	OutOfServiceTaint = "node.kubernetes.io/out-of-service"                       // KEP-2268
	NetworkCondition  = "NetworkUnavailable"
	DrainAnnotation   = "arpeggio.dev/drain"
)

// Node is what is known of a node, as far as it bears on one Service.
type Node struct {
	Name string
	// Selected: the policy's nodeSelector matches.
	Selected bool
	// ExcludedByLabel, OutOfService, NetworkUnavailable: it is told to take no part.
	ExcludedByLabel, OutOfService, NetworkUnavailable bool
	// Drain is what the node's annotation DrainAnnotation says; empty or "false": nothing.
	Drain string
	// Cordoned: no new pods are to be put on the node, and no new VIPs.
	Cordoned bool
	// Zone is the node's failure domain; nodes without one share the empty one.
	Zone string
	// Weight is the sum of the preferences that match.
	Weight int
	// Reported: an agent has told the node's interfaces.
	Reported bool
	// Interfaces are the names of those that could carry a VIP.
	Interfaces []string
	// Refused are interfaces that the question's patterns name and that cannot carry a VIP,
	// each with the reason: "eth1 is a port of bond0: name bond0 instead".
	Refused []string
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
	// Left is the node that spoke until a moment ago, and may be dead; empty: none.
	Left string
	// Before are the candidates as they were ranked last.
	Before []string
	// Load is how many other Services each node is first for: their owner, or the first
	// candidate of one that has none.
	Load map[string]int
	// Standby is how many other Services each pair stands for, as the first and the next.
	Standby map[Pair]int
	Nodes   []Node
}

// Pair is the first candidate of a Service and its first standby.
type Pair struct{ First, Next string }

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
	// Unserved are the addresses that the first candidate cannot speak for. Common: one of
	// the candidates can for all.
	Unserved []string
	Common   bool
	// Held is how many of the nodes that were candidates before nobody has excluded since.
	Held int
}

// Worse tells whether more than half of the former candidates are none any more, although
// nobody has excluded them: something went, or is not seen.
func (r Ranking) Worse() bool { return 2*len(r.Candidates) < r.Held }

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
	if slices.ContainsFunc(full, func(n Node) bool { return !n.Silent }) {
		for _, n := range partial {
			why, _ := q.inability(n)
			r.Refusals = append(r.Refusals, Refusal{n.Name, why + "; other nodes can serve all addresses of the Service"})
		}
		partial = nil
	}
	r.Candidates = q.order(full, partial)
	r.Common = len(full) > 0
	for _, n := range partial {
		if n.Name == r.Candidates[0] {
			r.Unserved = q.missing(n)
		}
	}
	r.Held = len(q.Before)
	for _, e := range excluded {
		if slices.Contains(q.Before, e.Node) {
			r.Held--
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
	case n.Drain != "" && n.Drain != "false":
		return fmt.Sprintf("annotation %s is %q", DrainAnnotation, n.Drain)
	case !n.Selected:
		return "the pool's nodeSelector does not match"
	}
	return ""
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
