// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	// maxNamed is how many nodes a message names.
	maxNamed = 10
	// maxRefused is how many interfaces of a node it does.
	maxRefused = 3
)

// inability says why a node cannot speak for all addresses; empty: it can. some tells
// whether it can for one of them.
func (q *Question) inability(n Node) (why string, some bool) {
	if q.Local && !n.Endpoint {
		return "no ready endpoint of the Service is on it, and externalTrafficPolicy is Local", false
	}
	if !n.Reported {
		return "no agent has reported its interfaces", false
	}
	missing := q.missing(n)
	some = len(missing) < len(q.Addresses)
	switch {
	case len(missing) == 0:
		return "", true
	case len(q.Patterns) > 0 && len(n.Refused) > 0:
		return refused(n.Refused), some
	case len(q.Patterns) > 0:
		return fmt.Sprintf("no interface matches %s (has %s)", quoted(q.Patterns), list(n.Interfaces)), some
	}
	return fmt.Sprintf("no interface has a subnet with %s or the default route of its family (has %s)", strings.Join(missing, " or "), list(n.Interfaces)), some
}

// Nobody says that no node may speak, and why, node by node.
func (q *Question) Nobody(refusals []Refusal) string {
	head := "no node may speak for " + join(q.Addresses, " and ")
	if len(refusals) == 0 {
		return head + ": the cluster has no nodes"
	}
	parts := make([]string, 0, maxNamed+1)
	for i, r := range refusals {
		if i == maxNamed {
			parts = append(parts, fmt.Sprintf("and %d more nodes", len(refusals)-i))
			break
		}
		parts = append(parts, r.Node+": "+r.Why)
	}
	return head + ": " + strings.Join(parts, "; ")
}

// Divided says that the first candidate cannot speak for all addresses; empty: it can.
func (q *Question) Divided(r Ranking) string {
	if len(r.Unserved) == 0 {
		return ""
	}
	why := "no node that may speak has interfaces for all of them: let one node reach both networks, or ask for one family only"
	if r.Common {
		why = "the nodes that could speak for all of them are not heard"
	}
	return fmt.Sprintf("nobody speaks for %s while %s speaks for the other address of the Service: %s", strings.Join(r.Unserved, " and "), r.Candidates[0], why)
}

// missing gives the addresses that a node has no interface for.
func (q *Question) missing(n Node) []string {
	var missing []string
	for i, a := range q.Addresses {
		if i >= len(n.Reaches) || !n.Reaches[i] {
			missing = append(missing, a.String())
		}
	}
	return missing
}

// refused lists interfaces that are named and cannot carry a VIP.
func refused(list []string) string {
	text := strings.Join(list[:min(len(list), maxRefused)], ", ")
	if more := len(list) - maxRefused; more > 0 {
		text += fmt.Sprintf(", and %d more that are named cannot carry a VIP", more)
	}
	return text
}

// join lists addresses.
func join(addrs []netip.Addr, between string) string {
	texts := make([]string, 0, len(addrs))
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, between)
}

// quoted lists patterns: "eth0" or "bond*".
func quoted(patterns []string) string {
	parts := make([]string, 0, len(patterns))
	for _, p := range patterns {
		parts = append(parts, fmt.Sprintf("%q", p))
	}
	return strings.Join(parts, " or ")
}

// list joins names; none is "none".
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
