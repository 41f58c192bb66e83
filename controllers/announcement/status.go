// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// situation is what the status speaks of while nobody holds the Lease.
type situation struct {
	addresses  int
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
	case now.addresses == 0 && now.refusal == "":
		return false
	case now.addresses == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonAllocationFailed, now.refusal
	case len(now.candidates) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNoEligibleNode, now.nobody
	case was != nil && was.Reason == v1alpha1.ReasonWithdrawn && status.Node == "":
		return false
	default:
		c.Status, c.Reason = metav1.ConditionUnknown, v1alpha1.ReasonPending
		c.Message = "may speak, and none has begun to: " + strings.Join(now.candidates, ", ")
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
	local := now.local && now.addresses > 0
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
	set(v1alpha1.AddressUnserved, now.divided != "", metav1.ConditionTrue, reason, now.divided)
}
