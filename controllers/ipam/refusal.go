// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// Reason says why a Service does not get what it asks for.
type Reason uint8

// The reasons.
const (
	BadRequest     Reason = iota + 1 // what is asked for cannot be read
	WrongFamily                      // the Service, or the pool, is not of the address's family
	OutsidePools                     // no pool holds the requested address
	NotHandedOut                     // a pool holds it, but does not hand it out
	Taken                            // somebody else has it
	PoolUnknown                      // there is no pool of the requested name
	PoolInvalid                      // the pool cannot be read
	PoolNotForThis                   // the pool's selectors do not match the Service
	PoolDrained                      // the pool gives nothing new
	PoolExhausted                    // the pool has no address left
	NoPool                           // no pool is for this Service
	Contested                        // another host uses the address, and the Service keeps it
)

// Refusal says why a Service does not get an address, and what to do about it.
type Refusal struct {
	Reason  Reason
	Problem string
	Remedy  string
}

// Error is the sentence for the user.
func (r *Refusal) Error() string { return r.Problem + ": " + r.Remedy }

// refuse makes a refusal.
func refuse(reason Reason, remedy, problem string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Problem: fmt.Sprintf(problem, args...), Remedy: remedy}
}

// joined makes one refusal of those of two families, which keeps the first one's reason.
func joined(a, b *Refusal) *Refusal {
	if a.Problem == b.Problem {
		return a
	}
	return &Refusal{Reason: a.Reason, Problem: a.Error() + "; " + b.Problem, Remedy: b.Remedy}
}

// refusePool says why a pool gives a Service no new address of a family, requested by
// name or through one of its addresses; nil when it may.
func (q *question) refusePool(p *Pool) *Refusal {
	switch {
	case p.Err != nil:
		return refuse(PoolInvalid, "correct the pool", "VIPPool %s cannot be used: %v", p.Name, p.Err)
	case !q.Selects(p.Name):
		return refuse(PoolNotForThis, "change the labels, or ask for another pool",
			"VIPPool %s is not for this Service: its serviceSelector or its namespaceSelector does not match", p.Name)
	case p.Drained:
		return refuse(PoolDrained, "ask for another pool, or set allocation: Enabled on it",
			"VIPPool %s gives no new addresses (allocation: Disabled)", p.Name)
	}
	return nil
}

// refuseAddress says why an address of a pool is not handed out; nil when it may be.
func refuseAddress(p *Pool, a netip.Addr) *Refusal {
	for _, o := range p.Overlaps {
		if !o.Common.Contains(a) {
			continue
		}
		switch o.Kind {
		case OverlapPool:
			return refuse(NotHandedOut, "take it out of one of them",
				"requested address %s is in two VIPPools, %s and %s", a, min(p.Name, o.Other), max(p.Name, o.Other))
		case OverlapServiceCIDR:
			return refuse(NotHandedOut, "request another address, and take the range out of the pool",
				"requested address %s lies in the range of ClusterIPs %s", a, o.Other)
		case OverlapNode:
			return refuse(NotHandedOut, "request another address, and exclude this one from the pool",
				"requested address %s is an address of node %s", a, o.Other)
		}
	}
	if p.edge(a) {
		return refuse(NotHandedOut, "request another address, or set edgeAddresses: Use on the pool",
			"requested address %s is a network or broadcast address, or ends in .0 or .255, which VIPPool %s avoids", a, p.Name)
	}
	return nil
}

// describe lists pools with their addresses, at most three, for messages.
func describe(pools []*Pool) string {
	parts := make([]string, 0, 3)
	for _, p := range pools {
		if p.Err != nil {
			continue
		}
		if len(parts) == 3 {
			return strings.Join(parts, ", ") + ", …"
		}
		parts = append(parts, p.Name+" ("+strings.Join(p.Addresses, ", ")+")")
	}
	return strings.Join(parts, ", ")
}
