// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// finding is what a status shall say of what one node found out. The youngest counts, and says
// all.
type finding struct {
	uid       types.UID // of the announcement
	node      string    // that reports
	probed    []string
	conflicts []v1alpha1.Conflict
	nodes     []string // those there are, if the node speaks; nil: not known
}

// apply brings it into the status of its announcement. What other nodes report stands, unless
// they are gone, or the address was found free since.
func (f finding) apply(a *v1alpha1.VIPAnnouncement) {
	s := &a.Status
	announced := func(addr string) bool {
		return slices.ContainsFunc(a.Spec.Addresses, func(x v1alpha1.AnnouncedAddress) bool { return x.Address == addr })
	}
	for _, addr := range f.probed {
		if announced(addr) {
			addProbed(s, addr)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(s.Conflicts), func(c v1alpha1.Conflict) bool {
		free := slices.Contains(f.probed, c.Address) && c.Reason != v1alpha1.ReasonProxyAnswers && c.Reason != v1alpha1.ReasonKernelAnswers
		gone := f.nodes != nil && !slices.Contains(f.nodes, c.Reporter)
		return c.Reporter == f.node || !announced(c.Address) || free || gone
	})
	for _, c := range f.conflicts {
		if announced(c.Address) {
			kept = append(kept, c)
		}
	}
	setConflicts(s, kept, a.Generation)
}

// addProbed notes that an address may be used. Should there be too many, the oldest goes: it is
// none of the Service's any more.
func addProbed(s *v1alpha1.VIPAnnouncementStatus, addr string) {
	if slices.Contains(s.Probed, addr) {
		return
	}
	s.Probed = append(slices.Clone(s.Probed), addr)
	s.Probed = s.Probed[max(0, len(s.Probed)-maxProbed):]
}

// clearSpoken notes that what is spoken for need not be probed when nobody does any more.
func clearSpoken(s *v1alpha1.VIPAnnouncementStatus) {
	for _, x := range s.Addresses {
		addProbed(s, x.Address)
	}
}

// endConflicts drops what other nodes reported of addresses that this one speaks for from now
// on: it listens itself. A kernel that answers is only known to its own node.
func endConflicts(s *v1alpha1.VIPAnnouncementStatus, at []v1alpha1.SpokenAddress, node string, generation int64) {
	kept := slices.DeleteFunc(slices.Clone(s.Conflicts), func(c v1alpha1.Conflict) bool {
		return c.Reporter != node && c.Reason != v1alpha1.ReasonKernelAnswers &&
			slices.ContainsFunc(at, func(x v1alpha1.SpokenAddress) bool { return x.Address == c.Address })
	})
	if len(kept) < len(s.Conflicts) {
		setConflicts(s, kept, generation)
	}
}

// setConflicts writes the conflicts, and the conditions that sum them up.
func setConflicts(s *v1alpha1.VIPAnnouncementStatus, cs []v1alpha1.Conflict, generation int64) {
	sortConflicts(cs)
	cs = cs[:min(len(cs), maxConflicts)]
	if s.Conflicts = cs; len(cs) == 0 {
		s.Conflicts = nil
	}
	var others, kernels []v1alpha1.Conflict
	for _, c := range cs {
		if c.Reason == v1alpha1.ReasonKernelAnswers {
			kernels = append(kernels, c)
		} else {
			others = append(others, c)
		}
	}
	set := func(kind string, cs []v1alpha1.Conflict, text func(v1alpha1.Conflict) string) {
		if len(cs) == 0 {
			meta.RemoveStatusCondition(&s.Conditions, kind)
			return
		}
		var texts []string
		for _, c := range cs {
			texts = append(texts, text(c))
		}
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: cs[0].Reason, Message: strings.Join(texts, "; "), ObservedGeneration: generation,
		})
	}
	set(v1alpha1.AddressConflict, others, func(c v1alpha1.Conflict) string { return conflictText(c) + "; " + outcome(c, isCleared(s, c.Address)) })
	set(v1alpha1.KernelAnswers, kernels, kernelText)
}

// conflictText says who uses an address.
func conflictText(c v1alpha1.Conflict) string {
	who := "a host that is no node of the cluster"
	switch c.Reason {
	case v1alpha1.ReasonProxyAnswers:
		who = "a device that answers for addresses nobody has (proxy ARP or ND proxy)"
	case v1alpha1.ReasonOtherAnnouncer:
		who = fmt.Sprintf("a card of node %s, but not by its agent (another load balancer there, or its kernel)", c.Node)
	}
	return fmt.Sprintf("%s is answered for or claimed by %s, %s; node %s hears it on %s", c.Address, c.MAC, who, c.Reporter, c.Interface)
}

// outcome says what comes of it.
func outcome(c v1alpha1.Conflict, used bool) string {
	switch {
	case c.Reason == v1alpha1.ReasonProxyAnswers:
		return "nothing is done about it, and clients may reach that device instead"
	case used:
		return "the address was in use here before: clients may reach either"
	default:
		return "no node speaks for the address until it is free; it is asked for every 30 s or so"
	}
}
