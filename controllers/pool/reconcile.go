// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
)

// settle is how long claims are gathered before a pool is counted anew: a thousand
// Services that come at once are not a thousand writes.
const settle = 500 * time.Millisecond

// Inventory knows the pools.
type Inventory interface {
	Pools() ipam.Pools
	Count(*ipam.Pool) (v4, v6 inventory.Counts)
}

// Recorder writes Events.
type Recorder interface{ Record(journal.Entry) }

// Reconciler writes the status of pools.
type Reconciler struct {
	client    client.Client
	inventory Inventory
	recorder  Recorder
}

// New gives a reconciler.
func New(c client.Client, inv Inventory, rec Recorder) *Reconciler {
	return &Reconciler{client: c, inventory: inv, recorder: rec}
}

// +kubebuilder:rbac:groups=arpeggio.dev,resources=vippools,verbs=get;list;watch
// +kubebuilder:rbac:groups=arpeggio.dev,resources=vippools/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Setup adds the controller to the manager.
func (r *Reconciler) Setup(mgr manager.Manager, inv *inventory.Inventory) error {
	return builder.ControllerManagedBy(mgr).
		Named("pool").
		For(&v1alpha1.VIPPool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(inv.Source(0, r.changed)).
		WatchesRawSource(inv.Source(settle, counted)).
		Complete(r)
}

// changed gives all pools when one of them, or what is reserved, is other than before.
func (r *Reconciler) changed(c inventory.Change) []reconcile.Request {
	if !c.Pools {
		return nil
	}
	var requests []reconcile.Request
	for _, p := range r.inventory.Pools().All() {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: p.Name}})
	}
	return requests
}

// counted gives the pool of which addresses were given or came back.
func counted(c inventory.Change) []reconcile.Request {
	if c.Pool == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: c.Pool}}}
}

// Reconcile brings the status of one pool up to date.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var o v1alpha1.VIPPool
	if err := r.client.Get(ctx, req.NamespacedName, &o); err != nil {
		return requeue.Outcome(client.IgnoreNotFound(err))
	}
	p := r.inventory.Pools().Get(o.Name)
	if p == nil {
		return requeue.Soon(), nil // the inventory is behind
	}
	changed := o.DeepCopy()
	r.describe(&changed.Status, p, o.Generation)
	if equality.Semantic.DeepEqual(o.Status, changed.Status) {
		return reconcile.Result{}, nil
	}
	if err := r.client.Status().Patch(ctx, changed, client.MergeFromWithOptions(&o, client.MergeFromWithOptimisticLock{})); err != nil {
		return requeue.Outcome(fmt.Errorf("writing the status of the VIPPool: %w", err))
	}
	for _, e := range changes(&o, o.Status.Conditions, changed.Status.Conditions) {
		r.recorder.Record(e)
	}
	return reconcile.Result{}, nil
}

// describe writes what is known of a pool into a status.
func (r *Reconciler) describe(status *v1alpha1.VIPPoolStatus, p *ipam.Pool, generation int64) {
	v4, v6 := r.inventory.Count(p)
	status.ObservedGeneration = generation
	status.IPv4 = count(p, ipam.IPv4, v4)
	status.IPv6 = count(p, ipam.IPv6, v6)
	for _, c := range []metav1.Condition{ready(p), overlapping(p), exhausted(p, v4, v6)} {
		c.ObservedGeneration = generation
		meta.SetStatusCondition(&status.Conditions, c)
	}
}
