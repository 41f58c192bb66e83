// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
)

// stillSpoken is how long the sweep waits for a speaker that has not let go yet.
const stillSpoken = 5 * time.Second

// sweep ends the rest of addresses that other hosts use.
type sweep struct{ *Reconciler }

// setupSweep adds the controller of the claims that are set aside.
func (r *Reconciler) setupSweep(mgr manager.Manager) error {
	aside := predicate.NewPredicateFuncs(func(o client.Object) bool {
		_, is := o.GetLabels()[v1alpha1.LabelSetAside]
		return is
	})
	return builder.ControllerManagedBy(mgr).
		Named("set-aside").
		For(&networkingv1.IPAddress{}, builder.WithPredicates(aside)).
		Complete(&sweep{r})
}

// Reconcile frees an address that was set aside, or has one announced again that was yielded,
// when its time has come.
func (s *sweep) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var o networkingv1.IPAddress
	if err := s.client.Get(ctx, req.NamespacedName, &o); err != nil {
		if client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("reading the IPAddress: %w", err)
		}
		return reconcile.Result{}, nil
	}
	c, ok := inventory.ReadClaim(&o)
	if !ok || c.Aside == (ipam.Aside{}) {
		return reconcile.Result{}, nil
	}
	rest, end := ipam.RestAside, s.remove
	if c.Yielded() {
		rest, end = ipam.RestYielded, s.resume
	}
	if left := c.Aside.Left(rest, time.Now().Unix()); left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	// A speaker that has not heard of it yet would go on, without a probe.
	key := types.NamespacedName{Namespace: o.Spec.ParentRef.Namespace, Name: o.Spec.ParentRef.Name}
	spoken, err := s.spoken(ctx, key, c)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case spoken:
		return reconcile.Result{RequeueAfter: stillSpoken}, nil
	}
	return requeue.Outcome(end(ctx, c))
}
