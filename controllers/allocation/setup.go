// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
)

// workers: each waits for the API server most of the time.
const workers = 8

// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=services/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=namespaces;nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ipaddresses,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=servicecidrs,verbs=get;list;watch
// +kubebuilder:rbac:groups=arpeggio.dev,resources=vippools;vipannouncements,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=arpeggio-system,verbs=get;delete

// Setup adds the controller to the manager.
func (r *Reconciler) Setup(mgr manager.Manager) error {
	if err := errors.Join(register(), r.setupSweep(mgr)); err != nil {
		return err
	}
	return builder.ControllerManagedBy(mgr).
		Named("allocation").
		For(&corev1.Service{}).
		WatchesRawSource(r.inventory.Source(0, r.affected)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.refusedIn), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.VIPAnnouncement{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: addressesChanged,
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// addressesChanged tells whether an announcement was changed in its addresses, or in what is
// known of other hosts that use them.
func addressesChanged(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.VIPAnnouncement)
	after, ok2 := e.ObjectNew.(*v1alpha1.VIPAnnouncement)
	return !ok || !ok2 || !equality.Semantic.DeepEqual(before.Spec.Addresses, after.Spec.Addresses) ||
		!equality.Semantic.DeepEqual(before.Status.Addresses, after.Status.Addresses) ||
		!equality.Semantic.DeepEqual(before.Status.Probed, after.Status.Probed) ||
		!equality.Semantic.DeepEqual(before.Status.Conflicts, after.Status.Conflicts)
}

// affected gives the Services on which a change of the inventory bears.
func (r *Reconciler) affected(c inventory.Change) []reconcile.Request {
	var requests []reconcile.Request
	if c.Service != (types.NamespacedName{}) {
		requests = append(requests, reconcile.Request{NamespacedName: c.Service})
	}
	if c.Pools {
		// All of them: new pools may hold what a PreferDualStack Service still lacks.
		return append(requests, r.class.Requests(context.Background(), r.client)...)
	}
	if c.Freed {
		for _, s := range r.inventory.Refused() {
			requests = append(requests, reconcile.Request{NamespacedName: s})
		}
	}
	return requests
}

// refusedIn gives the Services of a namespace that wait for an address: its labels may
// match a pool now.
func (r *Reconciler) refusedIn(_ context.Context, ns client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, s := range r.inventory.Refused() {
		if s.Namespace == ns.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: s})
		}
	}
	return requests
}
