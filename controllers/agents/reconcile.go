// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
)

const (
	podSecurity = "pod-security.kubernetes.io/enforce"
	// patience is how long pods may take to appear before it is said that they do not.
	patience = 15 * time.Second
)

// Recorder writes Events.
type Recorder interface{ Record(journal.Entry) }

// Reconciler keeps the DaemonSet of the agents as it should be. It has one worker, which
// alone uses what it remembers.
type Reconciler struct {
	client    client.Client
	recorder  Recorder
	namespace string
	pods      Pods

	told      map[string]bool // Events that hold on, so that they are written once
	toldOf    types.UID       // the DaemonSet they are about
	lackSince time.Time       // since when pods are missing; zero: none is
}

// New gives a reconciler; namespace is the installation's.
func New(c client.Client, rec Recorder, namespace string, pods Pods) *Reconciler {
	return &Reconciler{client: c, recorder: rec, namespace: namespace, pods: pods, told: map[string]bool{}}
}

// +kubebuilder:rbac:groups=apps,resources=daemonsets,namespace=arpeggio-system,verbs=create
// +kubebuilder:rbac:groups=apps,resources=daemonsets,namespace=arpeggio-system,resourceNames=arpeggio-agent,verbs=get;list;watch;update
// +kubebuilder:rbac:groups="",resources=serviceaccounts,namespace=arpeggio-system,resourceNames=arpeggio-agent,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,namespace=arpeggio-system,verbs=create
// +kubebuilder:rbac:groups="",resources=secrets,namespace=arpeggio-system,resourceNames=arpeggio-mark-key,verbs=get;list;watch;update
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Setup adds the controller to the manager.
func (r *Reconciler) Setup(mgr manager.Manager) error {
	always := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: r.namespace, Name: Name}}}
	})
	ours := builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == r.namespace }))
	return builder.ControllerManagedBy(mgr).
		Named("agents").
		Watches(&appsv1.DaemonSet{}, always).
		Watches(&corev1.ServiceAccount{}, always).
		Watches(&corev1.Secret{}, always).
		Watches(&corev1.Namespace{}, always, ours).
		Complete(r)
}

// Reconcile brings the Secret and the DaemonSet up to date.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var ns corev1.Namespace
	if err := r.client.Get(ctx, types.NamespacedName{Name: r.namespace}, &ns); err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Namespace of the installation: %w", err)
	}
	if ns.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	var account corev1.ServiceAccount
	key := types.NamespacedName{Namespace: r.namespace, Name: Name}
	if err := r.client.Get(ctx, key, &account); err != nil {
		return reconcile.Result{}, fmt.Errorf("the agents cannot be installed without their ServiceAccount: %w", err)
	}
	want, err := desired(r.namespace, r.pods, ns.UID, &account)
	if err != nil {
		return reconcile.Result{}, err
	}
	made, unusable, err := r.ensureKey(ctx, &account)
	if err != nil {
		return requeue.Outcome(err)
	}
	var ds appsv1.DaemonSet
	err = r.client.Get(ctx, key, &ds)
	switch {
	case apierrors.IsNotFound(err):
		return requeue.Outcome(r.create(ctx, want))
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading the DaemonSet: %w", err)
	}
	if ds.UID != r.toldOf {
		r.toldOf, r.told, r.lackSince = ds.UID, map[string]bool{}, time.Time{}
	}
	if ds.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		r.tell("notOurs", notOurs(&ds))
		return reconcile.Result{}, nil
	}
	if made {
		r.recorder.Record(keyMade(&ds))
	}
	if unusable != "" {
		r.tell("keyUnusable", keyUnusable(&ds, unusable))
	} else {
		delete(r.told, "keyUnusable")
	}
	if ds.Annotations[annotationHash] != want.Annotations[annotationHash] {
		return requeue.Outcome(r.update(ctx, &ds, want))
	}
	return r.watchPods(&ds, &ns), nil
}

// create creates the DaemonSet.
func (r *Reconciler) create(ctx context.Context, want *appsv1.DaemonSet) error {
	if err := r.client.Create(ctx, want); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil // the cache will show it
		}
		return fmt.Errorf("creating the DaemonSet: %w", err)
	}
	r.recorder.Record(installed(want, "installed"))
	return nil
}

// update makes the DaemonSet what it should be. What others added to its metadata stays.
func (r *Reconciler) update(ctx context.Context, ds, want *appsv1.DaemonSet) error {
	changed := ds.DeepCopy()
	for k, v := range want.Labels {
		changed.Labels[k] = v
	}
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	changed.Annotations[annotationHash] = want.Annotations[annotationHash]
	changed.OwnerReferences = want.OwnerReferences
	changed.Spec = want.Spec
	if err := r.client.Update(ctx, changed); err != nil {
		return fmt.Errorf("updating the DaemonSet: %w", err)
	}
	r.recorder.Record(installed(changed, "updated"))
	return nil
}

// watchPods says so when the pods do not appear and the namespace is the likely cause.
func (r *Reconciler) watchPods(ds *appsv1.DaemonSet, ns *corev1.Namespace) reconcile.Result {
	if ds.Status.CurrentNumberScheduled >= ds.Status.DesiredNumberScheduled || ns.Labels[podSecurity] == "privileged" {
		r.lackSince = time.Time{}
		delete(r.told, "podsRefused")
		return reconcile.Result{}
	}
	if r.lackSince.IsZero() {
		r.lackSince = time.Now()
	}
	if left := patience - time.Since(r.lackSince); left > 0 {
		return reconcile.Result{RequeueAfter: left}
	}
	r.tell("podsRefused", podsRefused(ds))
	return reconcile.Result{}
}

// tell writes an Event once for as long as its cause holds on.
func (r *Reconciler) tell(what string, e journal.Entry) {
	if !r.told[what] {
		r.told[what] = true
		r.recorder.Record(e)
	}
}
