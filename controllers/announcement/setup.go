// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"errors"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/roster"
)

const (
	workers = 8
	// settle is how long changes of nodes are gathered before all announcements are ranked
	// anew: a label on many nodes, or the first facts of all agents, is one change.
	settle = 200 * time.Millisecond
)

// Changes are what the announcements follow besides their own objects.
type Changes struct {
	Inventory *inventory.Inventory
	Roster    *roster.Roster
}

// +kubebuilder:rbac:groups="",resources=services;nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=arpeggio.dev,resources=vippools,verbs=get;list;watch
// +kubebuilder:rbac:groups=arpeggio.dev,resources=vipannouncements,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=arpeggio.dev,resources=vipannouncements/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=arpeggio-system,verbs=get;list;watch;create;patch;delete

// Setup adds the controller to the manager.
func (r *Reconciler) Setup(ctx context.Context, mgr manager.Manager, changes Changes) error {
	if err := errors.Join(register(), mgr.Add(r)); err != nil {
		return err
	}
	err := mgr.GetFieldIndexer().IndexField(ctx, &discoveryv1.EndpointSlice{}, indexService, func(o client.Object) []string {
		return []string{o.GetLabels()[discoveryv1.LabelServiceName]}
	})
	if err != nil {
		return err
	}
	return builder.ControllerManagedBy(mgr).
		Named("announcement").
		For(&v1alpha1.VIPAnnouncement{}).
		Watches(&corev1.Service{}, &handler.EnqueueRequestForObject{}).
		Watches(&v1alpha1.VIPPool{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(serviceOfSlice)).
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(serviceOfLease)).
		WatchesRawSource(changes.Inventory.Source(0, func(c inventory.Change) []reconcile.Request {
			if c.Service == (types.NamespacedName{}) {
				return nil
			}
			return []reconcile.Request{{NamespacedName: c.Service}}
		})).
		WatchesRawSource(r.calls.Source(0, func(requests []reconcile.Request) []reconcile.Request { return requests })).
		WatchesRawSource(changes.Roster.Source(settle, func(roster.Changed) []reconcile.Request { return r.all(context.Background(), nil) })).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// serviceOfSlice gives the Service of an EndpointSlice.
func serviceOfSlice(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// serviceOfLease gives the Service of a Lease; heartbeats and facts have none. The names of
// Services and namespaces hold no dot (RFC 1123 labels), and are too short to be hashed.
func serviceOfLease(_ context.Context, o client.Object) []reconcile.Request {
	rest, ok := strings.CutPrefix(o.GetName(), "svc.")
	namespace, name, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}

// all gives every Service that is ours.
func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.class.Requests(ctx, r.client)
}
