// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"fmt"
	"math"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// maxNamed is how many overlaps a message names.
const maxNamed = 5

// ready is the condition Ready of a pool.
func ready(p *ipam.Pool) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.PoolReady, Status: metav1.ConditionFalse}
	switch {
	case p.Err != nil:
		c.Reason, c.Message = v1alpha1.ReasonInvalidAddresses, p.Err.Error()
	case p.Drained:
		c.Reason, c.Message = v1alpha1.ReasonAllocationDisabled, "the pool gives no new addresses (allocation: Disabled); what was given stays"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonPoolReady, "the pool can be used"
	}
	return c
}

// overlapping is the condition Overlapping of a pool.
func overlapping(p *ipam.Pool) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.PoolOverlapping}
	if p.Err != nil {
		return unreadable(c)
	}
	if len(p.Overlaps) == 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNoOverlap, "all addresses are this pool's alone"
		return c
	}
	c.Status = metav1.ConditionTrue
	switch p.Overlaps[0].Kind {
	case ipam.OverlapPool:
		c.Reason = v1alpha1.ReasonOverlapsPool
	case ipam.OverlapServiceCIDR:
		c.Reason = v1alpha1.ReasonOverlapsServiceCIDR
	case ipam.OverlapNode:
		c.Reason = v1alpha1.ReasonOverlapsNode
	}
	parts := make([]string, 0, maxNamed+1)
	for i, o := range p.Overlaps {
		if i == maxNamed {
			parts = append(parts, fmt.Sprintf("and %d more overlaps", len(p.Overlaps)-i))
			break
		}
		parts = append(parts, describe(o))
	}
	c.Message = "never handed out: " + strings.Join(parts, "; ")
	return c
}

// describe says which addresses are whose else, and what to do.
func describe(o ipam.Overlap) string {
	ranges := o.Common.Ranges()
	texts := make([]string, 0, maxNamed+1)
	for i, r := range ranges {
		if i == maxNamed {
			texts = append(texts, fmt.Sprintf("and %d more ranges", len(ranges)-i))
			break
		}
		texts = append(texts, r.String())
	}
	common := strings.Join(texts, ", ")
	switch o.Kind {
	case ipam.OverlapServiceCIDR:
		return fmt.Sprintf("%s lies in the range of ClusterIPs %s (take it out of the pool)", common, o.Other)
	case ipam.OverlapNode:
		return fmt.Sprintf("%s is an address of node %s (exclude it from the pool)", common, o.Other)
	default:
		return fmt.Sprintf("%s is also in VIPPool %s (take it out of one of them)", common, o.Other)
	}
}

// exhausted is the condition Exhausted of a pool.
func exhausted(p *ipam.Pool, v4, v6 inventory.Counts) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.PoolExhausted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAddressesLeft, Message: "addresses of each of the pool's families are left"}
	if p.Err != nil {
		return unreadable(c)
	}
	var out []string
	for _, f := range []struct {
		family ipam.Family
		counts inventory.Counts
	}{{ipam.IPv4, v4}, {ipam.IPv6, v6}} {
		if p.Has(f.family) && f.counts.Available == 0 {
			text := fmt.Sprintf("no %s address is left of %d that may be handed out", f.family, f.counts.Capacity)
			if f.counts.SetAside > 0 {
				text += fmt.Sprintf(" (%d set aside because other hosts use them: kubectl get ipaddresses -l %s)", f.counts.SetAside, v1alpha1.LabelSetAside)
			}
			out = append(out, text)
		}
	}
	if len(out) > 0 {
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonNoAddressLeft
		c.Message = strings.Join(out, "; ") + ": add addresses to the pool, or delete Services that no longer need theirs"
	}
	return c
}

// count is a family's part of the status; nil: the pool has no addresses of it, and gave
// none.
func count(p *ipam.Pool, f ipam.Family, c inventory.Counts) *v1alpha1.AddressCount {
	if !p.Has(f) && c.Allocated+c.SetAside == 0 {
		return nil
	}
	available := c.Available
	if c.Capacity == math.MaxInt64 {
		available = math.MaxInt64
	}
	return &v1alpha1.AddressCount{Capacity: c.Capacity, Allocated: c.Allocated, Available: available, SetAside: c.SetAside}
}

// unreadable is a condition that cannot be told while the pool cannot be read.
func unreadable(c metav1.Condition) metav1.Condition {
	c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonInvalidAddresses, "the pool's addresses cannot be read"
	return c
}
