// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"fmt"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
)

// withdraw takes its addresses from a Service that is gone (s is nil), or that is not ours
// any more: first the Lease, then what the Service shows, then the claims.
func (r *Reconciler) withdraw(ctx context.Context, key types.NamespacedName, s *corev1.Service) (reconcile.Result, error) {
	r.inventory.Refuse(key, "")
	claims := r.inventory.ClaimsOf(key)
	if len(claims) == 0 {
		return reconcile.Result{}, nil
	}
	var now corev1.Service
	err := r.live.Get(ctx, key, &now)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return reconcile.Result{}, fmt.Errorf("reading the Service: %w", err)
	case err == nil && r.class.Ours(&now):
		return requeue.Soon(), nil // the cache is behind
	}
	if err := r.removeLease(ctx, key, ""); err != nil {
		return requeue.Outcome(err)
	}
	if s != nil {
		if err := r.unshow(ctx, s, claims); err != nil {
			return requeue.Outcome(err)
		}
	}
	for _, c := range claims {
		if err := r.remove(ctx, c); err != nil {
			return requeue.Outcome(err)
		}
	}
	return reconcile.Result{}, nil
}

// removeLease deletes the Lease of a Service, unless it is of the Service with the UID
// that is to be spared.
func (r *Reconciler) removeLease(ctx context.Context, key types.NamespacedName, spare types.UID) error {
	var l coordinationv1.Lease
	name := v1alpha1.ServiceLease(key.Namespace, key.Name)
	err := r.live.Get(ctx, types.NamespacedName{Namespace: r.namespace, Name: name}, &l)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading Lease %q: %w", name, err)
	case spare != "" && l.Annotations[v1alpha1.AnnotationServiceUID] == string(spare):
		return nil
	}
	if err := r.client.Delete(ctx, &l, client.Preconditions{UID: &l.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Lease %q: %w", name, err)
	}
	return nil
}

// unshow takes the claimed addresses out of the status of a Service that is not ours any
// more; what else stands there is somebody else's.
func (r *Reconciler) unshow(ctx context.Context, s *corev1.Service, claims []ipam.Claim) error {
	rest := slices.DeleteFunc(slices.Clone(s.Status.LoadBalancer.Ingress), func(in corev1.LoadBalancerIngress) bool {
		return slices.ContainsFunc(claims, func(c ipam.Claim) bool { return c.Address.String() == in.IP })
	})
	if len(rest) == len(s.Status.LoadBalancer.Ingress) {
		return nil
	}
	changed := s.DeepCopy()
	changed.Status.LoadBalancer.Ingress = rest
	if err := r.client.Status().Patch(ctx, changed, client.MergeFromWithOptions(s, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("clearing the Service's addresses: %w", err)
	}
	r.recorder.Record(allocated(s, nil, nil, ips(s.Status.LoadBalancer.Ingress)))
	return nil
}
