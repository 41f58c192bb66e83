// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// holder names the node that holds a Lease; empty: none.
func holder(l *coordinationv1.Lease) string {
	if l == nil || l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// isOf tells whether a Lease was made for this very Service.
func isOf(l *coordinationv1.Lease, s *corev1.Service) bool {
	return l != nil && l.Annotations[v1alpha1.AnnotationServiceUID] == string(s.UID)
}

// lease reads the Lease of a Service through a reader; nil: there is none.
func (r *Reconciler) lease(ctx context.Context, from client.Reader, key types.NamespacedName) (*coordinationv1.Lease, error) {
	var l coordinationv1.Lease
	name := v1alpha1.ServiceLease(key.Namespace, key.Name)
	err := from.Get(ctx, types.NamespacedName{Namespace: r.namespace, Name: name}, &l)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Lease %q: %w", name, err)
	}
	return &l, nil
}

// ensureLease makes the Lease of a Service say who may take it. A Lease of an earlier
// Service of the same name goes first: its epochs are not this one's. speaker is the node
// that speaks for the Service although its Lease is gone, if any: it keeps the VIP.
func (r *Reconciler) ensureLease(ctx context.Context, s *corev1.Service, l *coordinationv1.Lease, candidates []string, speaker string) (*coordinationv1.Lease, error) {
	if l != nil && !isOf(l, s) {
		if err := r.replaced(ctx, s); err != nil {
			return nil, err
		}
		if err := r.deleteLease(ctx, l); err != nil {
			return nil, err
		}
		l, speaker = nil, ""
	}
	if l == nil {
		made, err := r.createLease(ctx, s, candidates, speaker)
		if err == nil || !apierrors.IsAlreadyExists(err) {
			return made, err
		}
		// The cache does not know it: it is young, or has lost the label it is watched by.
		l, err = r.lease(ctx, r.live, client.ObjectKeyFromObject(s))
		if err != nil {
			return nil, err
		}
		if !isOf(l, s) {
			return nil, stale("leases", v1alpha1.ServiceLease(s.Namespace, s.Name))
		}
	}
	return r.updateLease(ctx, s, l, candidates)
}

// createLease creates the Lease of a Service.
func (r *Reconciler) createLease(ctx context.Context, s *corev1.Service, candidates []string, speaker string) (*coordinationv1.Lease, error) {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: v1alpha1.ServiceLease(s.Namespace, s.Name)}}
	describe(l, s, candidates)
	if slices.Contains(candidates, speaker) {
		l.Spec.HolderIdentity = &speaker
	}
	if err := r.client.Create(ctx, l); err != nil {
		return nil, fmt.Errorf("creating Lease %q: %w", l.Name, err)
	}
	return l, nil
}

// updateLease writes who may take a Lease, if that changes it. Conflicts are left to the
// next try: an agent's compare-and-swap comes first.
func (r *Reconciler) updateLease(ctx context.Context, s *corev1.Service, l *coordinationv1.Lease, candidates []string) (*coordinationv1.Lease, error) {
	changed := l.DeepCopy()
	describe(changed, s, candidates)
	if maps.Equal(changed.Labels, l.Labels) && maps.Equal(changed.Annotations, l.Annotations) {
		return l, nil
	}
	if err := r.client.Patch(ctx, changed, client.MergeFromWithOptions(l, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, fmt.Errorf("writing the candidates to Lease %q: %w", l.Name, err)
	}
	return changed, nil
}

// describe sets what is the manager's of a Lease. The candidates are a set there, in the
// order of their names: a new rank is no reason to write.
func describe(l *coordinationv1.Lease, s *corev1.Service, candidates []string) {
	metav1.SetMetaDataLabel(&l.ObjectMeta, v1alpha1.LabelWatch, v1alpha1.WatchService)
	metav1.SetMetaDataLabel(&l.ObjectMeta, v1alpha1.LabelManagedBy, v1alpha1.ManagedBy)
	metav1.SetMetaDataAnnotation(&l.ObjectMeta, v1alpha1.AnnotationServiceUID, string(s.UID))
	metav1.SetMetaDataAnnotation(&l.ObjectMeta, v1alpha1.AnnotationCandidates, strings.Join(slices.Sorted(slices.Values(candidates)), ","))
}

// deleteLease deletes a Lease, if it is still the same one.
func (r *Reconciler) deleteLease(ctx context.Context, l *coordinationv1.Lease) error {
	if err := r.client.Delete(ctx, l, client.Preconditions{UID: &l.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Lease %q: %w", l.Name, err)
	}
	return nil
}

// replaced makes sure, before something is made for a Service, or something of another one of
// this name is deleted, that the cache does not show an earlier Service than the API server.
func (r *Reconciler) replaced(ctx context.Context, s *corev1.Service) error {
	var now corev1.Service
	err := r.live.Get(ctx, client.ObjectKeyFromObject(s), &now)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Service: %w", err)
	}
	if err != nil || now.UID != s.UID {
		return stale("services", s.Name)
	}
	return nil
}
