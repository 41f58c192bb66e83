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
}

// report writes the condition Announced while the Lease has no holder; with one the status
// is the holder's.
func (r *Reconciler) report(ctx context.Context, s *corev1.Service, a *v1alpha1.VIPAnnouncement, l *coordinationv1.Lease, now situation) error {
	if holder(l) != "" {
		return nil
	}
	before := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.Announced)
	changed := a.DeepCopy()
	if !now.apply(&changed.Status, a.Generation) || equality.Semantic.DeepEqual(a.Status, changed.Status) {
		return nil
	}
	if a.Status.Node != "" {
		// The status names a speaker: it may have taken the Lease while the cache looked away.
		fresh, err := r.lease(ctx, r.live, client.ObjectKeyFromObject(s))
		if err != nil || holder(fresh) != "" {
			return err
		}
	}
	if err := r.client.Status().Patch(ctx, changed, client.MergeFromWithOptions(a, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("writing the status of the VIPAnnouncement: %w", err)
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
