// SPDX-License-Identifier: Apache-2.0

// Package nodelease sweeps what agents of nodes that are gone left behind: the heartbeat
// and the facts of a node that has no Node object any more and is silent.
//
// An agent that still beats keeps its Leases, with or without a Node: one that runs by hand
// outside the cluster does.
package nodelease

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
)

// patience is how often it is asked whether a node that is gone has fallen silent.
const patience = 5 * time.Second

// Roster knows whether a node is silent.
type Roster interface{ Silent(node string) bool }

// Reconciler sweeps the Leases of nodes that are gone. Its requests are names of nodes.
type Reconciler struct {
	client    client.Client
	live      client.Reader
	roster    Roster
	namespace string
}

// New gives a reconciler; namespace is the installation's.
func New(c client.Client, live client.Reader, roster Roster, namespace string) *Reconciler {
	return &Reconciler{client: c, live: live, roster: roster, namespace: namespace}
}

// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=arpeggio-system,verbs=get;list;watch;delete

// Setup adds the controller to the manager.
func (r *Reconciler) Setup(mgr manager.Manager) error {
	once := predicate.Funcs{
		UpdateFunc: func(event.UpdateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}
	gone := predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(event.UpdateEvent) bool { return false },
	}
	return builder.ControllerManagedBy(mgr).
		Named("nodelease").
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(nodeOfLease), builder.WithPredicates(once)).
		Watches(&corev1.Node{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(gone)).
		Complete(r)
}

// nodeOfLease gives the node of a heartbeat or of facts. A name that is too long for a
// Lease is hashed and cannot be read back: such a Lease stays, and harms nobody.
func nodeOfLease(_ context.Context, o client.Object) []reconcile.Request {
	for _, prefix := range []string{v1alpha1.NodeLease(""), v1alpha1.FactsLease("")} {
		if node, ok := strings.CutPrefix(o.GetName(), prefix); ok {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: node}}}
		}
	}
	return nil
}

// Reconcile sweeps the Leases of one node, if it is gone.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var n corev1.Node
	err := r.client.Get(ctx, types.NamespacedName{Name: req.Name}, &n)
	if err == nil || !apierrors.IsNotFound(err) {
		return requeue.Outcome(err)
	}
	var leases []coordinationv1.Lease
	for _, name := range []string{v1alpha1.NodeLease(req.Name), v1alpha1.FactsLease(req.Name)} {
		var l coordinationv1.Lease
		err := r.client.Get(ctx, types.NamespacedName{Namespace: r.namespace, Name: name}, &l)
		if client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("reading Lease %q: %w", name, err)
		}
		if err == nil {
			leases = append(leases, l)
		}
	}
	if len(leases) == 0 {
		return reconcile.Result{}, nil
	}
	if !r.roster.Silent(req.Name) {
		return reconcile.Result{RequeueAfter: patience}, nil
	}
	if err := r.live.Get(ctx, types.NamespacedName{Name: req.Name}, &n); !apierrors.IsNotFound(err) {
		return reconcile.Result{RequeueAfter: patience}, err
	}
	for _, l := range leases {
		err := r.client.Delete(ctx, &l, client.Preconditions{UID: &l.UID, ResourceVersion: &l.ResourceVersion})
		if client.IgnoreNotFound(err) != nil {
			return requeue.Outcome(fmt.Errorf("deleting Lease %q: %w", l.Name, err))
		}
	}
	return reconcile.Result{}, nil
}
