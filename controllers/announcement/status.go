// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// situation is what the status speaks of while nobody holds the Lease.
type situation struct {
	addresses  []string // that are announced
	yielded    string   // which addresses are not announced for a while, and why
	candidates []string
	refusal    string // why the Service has no address; empty: not known yet
	nobody     string // why no node may speak

	local     bool // externalTrafficPolicy Local
	endpoints endpoints
	divided   string // which address nobody speaks for, and why
	common    bool   // a node could speak for both, and is not heard
}

// report writes the condition Announced while the Lease has no holder; with one that is the
// holder's. The manager's own conditions it always writes.
func (r *Reconciler) report(ctx context.Context, s *corev1.Service, a *v1alpha1.VIPAnnouncement, l *coordinationv1.Lease, now situation) error {
	before := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.Announced)
	changed := a.DeepCopy()
	vacant := holder(l) == "" && now.apply(&changed.Status, a.Generation)
	now.judge(&changed.Status, a.Generation)
	now.prune(&changed.Status)
	if equality.Semantic.DeepEqual(a.Status, changed.Status) {
		return nil
	}
	if vacant && a.Status.Node != "" {
		// The status names a speaker: it may have taken the Lease while the cache looked away.
		fresh, err := r.lease(ctx, r.live, client.ObjectKeyFromObject(s))
		if err != nil || holder(fresh) != "" {
			return err
		}
	}
	if err := r.client.Status().Patch(ctx, changed, client.MergeFromWithOptions(a, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("writing the status of the VIPAnnouncement: %w", err)
	}
	if !vacant {
		return nil
	}
	after := meta.FindStatusCondition(changed.Status.Conditions, v1alpha1.Announced)
	if after.Reason == v1alpha1.ReasonNoEligibleNode && (before == nil || before.Reason != after.Reason || before.Message != after.Message) {
		r.recorder.Record(noEligibleNode(s, after.Message))
	}
	return nil
}

// apply writes the situation into a status, and tells whether it had anything to say.
// What the last speaker said when it gave the addresses up stands until something is
// wrong that it did not know of.
func (now situation) apply(status *v1alpha1.VIPAnnouncementStatus, generation int64) bool {
	c := metav1.Condition{Type: v1alpha1.Announced, ObservedGeneration: generation}
	was := meta.FindStatusCondition(status.Conditions, v1alpha1.Announced)
	switch {
	case len(now.addresses) == 0 && now.yielded != "":
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonYielded, now.yielded
	case len(now.addresses) == 0 && now.refusal == "":
		return false
	case len(now.addresses) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonAllocationFailed, now.refusal
	case len(now.candidates) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNoEligibleNode, now.nobody
	case was != nil && was.Reason == v1alpha1.ReasonWithdrawn && status.Node == "":
		return false
	default:
		c.Status, c.Reason = metav1.ConditionUnknown, v1alpha1.ReasonPending
		c.Message = "may speak, and none has begun to: " + strings.Join(now.candidates, ", ")
	}
	// What was spoken for once need not be probed again: the next speaker takes over at once.
	for _, x := range status.Addresses {
		if slices.Contains(now.addresses, x.Address) && !slices.Contains(status.Probed, x.Address) {
			status.Probed = append(status.Probed, x.Address)
		}
	}
	status.Node = ""
	status.Addresses = nil
	meta.SetStatusCondition(&status.Conditions, c)
	return true
}

// judge writes what the manager knows better than the speaker.
func (now situation) judge(status *v1alpha1.VIPAnnouncementStatus, generation int64) {
	set := func(kind string, holds bool, value metav1.ConditionStatus, reason, message string) {
		if !holds {
			meta.RemoveStatusCondition(&status.Conditions, kind)
			return
		}
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: generation})
	}
	local := now.local && len(now.addresses) > 0
	if len(now.endpoints.nodes) > 0 {
		set(v1alpha1.Serving, local, metav1.ConditionTrue, v1alpha1.ReasonEndpointsReady, "endpoints are ready on nodes")
	} else {
		set(v1alpha1.Serving, local, metav1.ConditionFalse, v1alpha1.ReasonNoEndpoint,
			"no endpoint of the Service is ready on any node, and externalTrafficPolicy is Local: kube-proxy drops what arrives, whoever speaks")
	}
	set(v1alpha1.EndpointsNameless, local && now.endpoints.nameless > 0, metav1.ConditionTrue, v1alpha1.ReasonNodeNameMissing,
		fmt.Sprintf("%d of %d ready endpoints name no node: under externalTrafficPolicy Local, kube-proxy drops traffic for them on every node; set nodeName in the EndpointSlice, or use externalTrafficPolicy Cluster", now.endpoints.nameless, now.endpoints.ready))
	reason := v1alpha1.ReasonNoCommonCandidate
	if now.common {
		reason = v1alpha1.ReasonCommonCandidateSilent
	}
	why := now.divided
	if now.yielded != "" {
		reason, why = v1alpha1.ReasonAddressYielded, now.yielded
	}
	set(v1alpha1.AddressUnserved, why != "", metav1.ConditionTrue, reason, why)
}

// prune takes out of a status what agents found out of addresses that are not announced any
// more: when one comes back, it is asked about anew. With the last conflict of its kind goes
// the condition, which nobody would take out else.
func (now situation) prune(status *v1alpha1.VIPAnnouncementStatus) {
	status.Probed = slices.DeleteFunc(status.Probed, func(a string) bool { return !slices.Contains(now.addresses, a) })
	before := len(status.Conflicts)
	status.Conflicts = slices.DeleteFunc(status.Conflicts, func(c v1alpha1.Conflict) bool { return !slices.Contains(now.addresses, c.Address) })
	if len(status.Conflicts) == before {
		return
	}
	kernel := func(c v1alpha1.Conflict) bool { return c.Reason == v1alpha1.ReasonKernelAnswers }
	if !slices.ContainsFunc(status.Conflicts, kernel) {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.KernelAnswers)
	}
	if !slices.ContainsFunc(status.Conflicts, func(c v1alpha1.Conflict) bool { return !kernel(c) }) {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.AddressConflict)
	}
}

// addresses lists announced addresses.
func addresses(list []v1alpha1.AnnouncedAddress) []string {
	texts := make([]string, 0, len(list))
	for _, x := range list {
		texts = append(texts, x.Address)
	}
	return texts
}

// yielded says which addresses of a Service are not announced for a while, and why.
func yielded(claims []ipam.Claim) string {
	var parts []string
	for _, c := range claims {
		if c.Yielded() {
			until := time.Unix(c.Aside.Since, 0).Add(ipam.RestYielded).UTC().Format(time.RFC3339)
			parts = append(parts, fmt.Sprintf("%s is not announced until %s: another host, %s, uses it, and VIPPool %s yields (conflictPolicy: Yield)", c.Address, until, c.Aside.MAC, c.Pool))
		}
	}
	return strings.Join(parts, "; ")
}
