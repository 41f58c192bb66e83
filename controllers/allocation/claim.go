// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// object is the IPAddress that claims an address for a Service. It has no owner
// reference: a cluster-scoped object with a namespaced owner is never collected.
func object(s *corev1.Service, c ipam.Claim) *networkingv1.IPAddress {
	o := &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name:        c.Address.String(),
			Labels:      map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelPool: c.Pool},
			Annotations: map[string]string{v1alpha1.AnnotationServiceUID: string(s.UID)},
		},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Resource: "services", Namespace: s.Namespace, Name: s.Name,
		}},
	}
	if c.Adopted {
		o.Annotations[v1alpha1.AnnotationAdopted] = "true"
	}
	return o
}

// take creates the claims of a decision. It reports stale when one of the addresses is
// taken after all; the inventory knows it then.
func (r *Reconciler) take(ctx context.Context, s *corev1.Service, d ipam.Decision) (stale bool, err error) {
	for n, c := range d.Take {
		o := object(s, c)
		err := r.client.Create(ctx, o)
		if apierrors.IsAlreadyExists(err) {
			ours, lookErr := r.look(ctx, s, c)
			if lookErr == nil && ours {
				continue
			}
			r.abandon(d.Take[n+1:])
			return lookErr == nil, lookErr
		}
		if err != nil {
			r.abandon(d.Take[n:])
			return false, fmt.Errorf("claiming %s: %w", c.Address, err)
		}
		if made, ok := inventory.ReadClaim(o); ok {
			r.inventory.Claimed(made)
		}
	}
	return false, nil
}

// look reads a claim that exists already, and tells whether it is this Service's own.
func (r *Reconciler) look(ctx context.Context, s *corev1.Service, c ipam.Claim) (ours bool, err error) {
	var o networkingv1.IPAddress
	if err := r.live.Get(ctx, types.NamespacedName{Name: c.Address.String()}, &o); err != nil {
		r.inventory.Abandon(c)
		if apierrors.IsNotFound(err) {
			return false, nil // it went between the two calls
		}
		return false, fmt.Errorf("reading the claim of %s: %w", c.Address, err)
	}
	found, ok := inventory.ReadClaim(&o)
	if !ok {
		r.inventory.Abandon(c)
		return false, fmt.Errorf("IPAddress %q has a name that is no address", o.Name)
	}
	r.inventory.Claimed(found)
	return found.Service == c.Service && found.UID == string(s.UID), nil
}

// abandon gives up addresses that were to be claimed.
func (r *Reconciler) abandon(claims []ipam.Claim) {
	for _, c := range claims {
		r.inventory.Abandon(c)
	}
}

// own makes a claim that an earlier Service of the same name left behind this one's. The
// Lease of the earlier one goes first: its holder must not speak by the new one's right.
func (r *Reconciler) own(ctx context.Context, s *corev1.Service, c ipam.Claim) error {
	if c.UID == string(s.UID) {
		return nil
	}
	key := client.ObjectKeyFromObject(s)
	var now corev1.Service
	if err := r.live.Get(ctx, key, &now); err != nil {
		return fmt.Errorf("reading the Service: %w", err)
	}
	if now.UID != s.UID {
		return apierrors.NewConflict(corev1.Resource("services"), s.Name, fmt.Errorf("it is another Service by now"))
	}
	if err := r.removeLease(ctx, key, s.UID); err != nil {
		return err
	}
	var o networkingv1.IPAddress
	if err := r.live.Get(ctx, types.NamespacedName{Name: c.Address.String()}, &o); err != nil {
		return fmt.Errorf("reading the claim of %s: %w", c.Address, err)
	}
	changed := o.DeepCopy()
	metav1.SetMetaDataAnnotation(&changed.ObjectMeta, v1alpha1.AnnotationServiceUID, string(s.UID))
	delete(changed.Annotations, v1alpha1.AnnotationAdopted) // the new Service did not bring it along
	if err := r.client.Patch(ctx, changed, client.MergeFromWithOptions(&o, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("passing on the claim of %s: %w", c.Address, err)
	}
	if made, ok := inventory.ReadClaim(changed); ok {
		r.inventory.Claimed(made)
	}
	return nil
}

// remove deletes a claim, if it is still the one that was looked at.
func (r *Reconciler) remove(ctx context.Context, c ipam.Claim) error {
	var o networkingv1.IPAddress
	err := r.live.Get(ctx, types.NamespacedName{Name: c.Address.String()}, &o)
	switch {
	case apierrors.IsNotFound(err):
		r.inventory.Forget(c)
		return nil
	case err != nil:
		return fmt.Errorf("reading the claim of %s: %w", c.Address, err)
	}
	if now, ok := inventory.ReadClaim(&o); !ok || now != c {
		return nil // it is another one by now; the cache will tell
	}
	err = r.client.Delete(ctx, &o, client.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("giving up the claim of %s: %w", c.Address, err)
	}
	r.inventory.Forget(c)
	return nil
}
