// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/follow"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
	"github.com/arpeggio-lb/arpeggio/controllers/roster"
)

// Inventory knows what a Service has.
type Inventory interface {
	ClaimsOf(types.NamespacedName) []ipam.Claim
	Ordered(ipam.Request) []ipam.Claim // those of its Service, of each family the one to be kept first
	Refusal(types.NamespacedName) (message string, refused bool)
	Claimable(address string) bool
}

// Recorder writes Events.
type Recorder interface{ Record(journal.Entry) }

// Reconciler writes announcements and their Leases.
type Reconciler struct {
	client    client.Client // reads through the cache
	live      client.Reader // reads from the API server
	inventory Inventory
	roster    *roster.Roster
	recorder  Recorder
	class     inventory.Class
	namespace string // of the installation, where the Leases are
	memory    *memory
	calls     follow.Feed[[]reconcile.Request] // for Services that are to be looked at again
}

// New gives a reconciler; namespace is the installation's.
func New(c client.Client, live client.Reader, inv Inventory, ros *roster.Roster, rec Recorder, class inventory.Class, namespace string) *Reconciler {
	return &Reconciler{client: c, live: live, inventory: inv, roster: ros, recorder: rec, class: class, namespace: namespace, memory: newMemory()}
}

// Reconcile brings the announcement of one Service up to date.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var s corev1.Service
	err := r.client.Get(ctx, req.NamespacedName, &s)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Service: %w", err)
	}
	if err := r.recall(ctx); err != nil {
		return requeue.Outcome(err)
	}
	if err != nil || !r.class.Ours(&s) {
		return requeue.Outcome(r.retire(ctx, req.NamespacedName))
	}
	again, err := r.announce(ctx, &s)
	if err != nil {
		return requeue.Outcome(err)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// retire removes the Lease and then the announcement of a Service that is gone or not ours
// any more.
func (r *Reconciler) retire(ctx context.Context, key types.NamespacedName) error {
	l, err := r.lease(ctx, r.client, key)
	if err != nil {
		return err
	}
	a, err := r.announcement(ctx, key)
	if err != nil {
		return err
	}
	if l == nil && a == nil {
		r.memory.forget(key)
		return nil
	}
	var now corev1.Service
	if err := r.live.Get(ctx, key, &now); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Service: %w", err)
	} else if err == nil && r.class.Ours(&now) {
		return stale("services", key.Name)
	}
	r.memory.forget(key)
	if l != nil {
		if err := r.deleteLease(ctx, l); err != nil {
			return err
		}
	}
	if a != nil {
		return r.deleteAnnouncement(ctx, a)
	}
	return nil
}

// announcement reads the announcement of a Service; nil: there is none.
func (r *Reconciler) announcement(ctx context.Context, key types.NamespacedName) (*v1alpha1.VIPAnnouncement, error) {
	var a v1alpha1.VIPAnnouncement
	err := r.client.Get(ctx, key, &a)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the VIPAnnouncement: %w", err)
	}
	return &a, nil
}

// deleteAnnouncement deletes an announcement, if it is still the same one.
func (r *Reconciler) deleteAnnouncement(ctx context.Context, a *v1alpha1.VIPAnnouncement) error {
	if err := r.client.Delete(ctx, a, client.Preconditions{UID: &a.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the VIPAnnouncement: %w", err)
	}
	return nil
}

// announce writes the Lease, the announcement and what is the manager's of its status. It
// asks to be called again after some time; zero: only when something changes.
func (r *Reconciler) announce(ctx context.Context, s *corev1.Service) (again time.Duration, err error) {
	key := client.ObjectKeyFromObject(s)
	l, err := r.lease(ctx, r.client, key)
	if err != nil {
		return 0, err
	}
	a, err := r.announcement(ctx, key)
	if err != nil {
		return 0, err
	}
	if owner := controllerOf(a); owner != "" && owner != s.UID {
		if err := r.replaced(ctx, s); err != nil {
			return 0, err
		}
		if err := r.deleteAnnouncement(ctx, a); err != nil {
			return 0, err
		}
		a = nil
	}
	wanted, q, ends, err := r.gather(ctx, s, l, a)
	if err != nil {
		return 0, err
	}
	ranking, wait := r.rank(ctx, q)
	if wait > 0 {
		return wait, nil
	}
	wanted.Spec.Candidates, wanted.Spec.Excluded = ranking.Candidates, ranking.Excluded
	order, err := r.displace(ctx, s, l, a, ranking.Candidates, ends)
	if err != nil {
		return 0, err
	}
	wanted.Spec.Displace = order.epoch
	if a == nil {
		// A cache that is behind would have it made again and again for a Service that is gone.
		if err := r.replaced(ctx, s); err != nil {
			return 0, err
		}
	}
	if len(wanted.Spec.Addresses) > 0 || l != nil {
		if l, err = r.ensureLease(ctx, s, l, ranking.Candidates, speaker(a)); err != nil {
			return 0, err
		}
	}
	if a, err = r.write(ctx, a, wanted); err != nil {
		return 0, err
	}
	if order.news != nil {
		r.recorder.Record(*order.news)
	}
	refusal, _ := r.inventory.Refusal(key)
	return order.again, r.report(ctx, s, a, l, situation{
		addresses:  addresses(wanted.Spec.Addresses),
		yielded:    yielded(r.inventory.ClaimsOf(key)),
		candidates: ranking.Candidates,
		refusal:    refusal,
		nobody:     q.Nobody(ranking.Refusals),
		local:      q.Local,
		endpoints:  ends,
		divided:    q.Divided(ranking),
		common:     ranking.Common,
	})
}

// gather asks who may speak, with all that is known, and prepares the announcement.
func (r *Reconciler) gather(ctx context.Context, s *corev1.Service, l *coordinationv1.Lease, a *v1alpha1.VIPAnnouncement) (*v1alpha1.VIPAnnouncement, *placement.Question, endpoints, error) {
	wanted := &v1alpha1.VIPAnnouncement{}
	if a != nil {
		wanted = a.DeepCopy()
	}
	ends, err := r.endpoints(ctx, s)
	if err != nil {
		return nil, nil, endpoints{}, err
	}
	addrs := r.addresses(s, wanted.Spec.Addresses)
	if err := r.carry(ctx, addrs, wanted.Spec.Addresses); err != nil {
		return nil, nil, endpoints{}, err
	}
	view, err := r.view(ctx, s, addrs, wanted.Spec.Interfaces)
	if err != nil {
		return nil, nil, endpoints{}, err
	}
	q := &placement.Question{
		Key:       nameOf(client.ObjectKeyFromObject(s)),
		Addresses: view.Addresses,
		Local:     s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		Before:    wanted.Spec.Candidates,
	}
	for _, p := range view.Patterns {
		q.Patterns = append(q.Patterns, string(p))
	}
	if isOf(l, s) {
		q.Owner = holder(l)
	}
	if len(addrs) > 0 {
		view.Endpoints = ends.nodes
		q.Nodes = r.roster.Nodes(view)
	}
	wanted.Namespace, wanted.Name = s.Namespace, s.Name
	metav1.SetMetaDataLabel(&wanted.ObjectMeta, v1alpha1.LabelManagedBy, v1alpha1.ManagedBy)
	metav1.SetMetaDataAnnotation(&wanted.ObjectMeta, v1alpha1.AnnotationAddresses, strings.Join(addresses(addrs), ","))
	wanted.OwnerReferences = []metav1.OwnerReference{ownedBy(s)}
	wanted.Spec.Addresses = addrs
	wanted.Spec.LeaseName = v1alpha1.ServiceLease(s.Namespace, s.Name)
	wanted.Spec.HealthCheckNodePort = 0
	if q.Local {
		wanted.Spec.HealthCheckNodePort = s.Spec.HealthCheckNodePort
	}
	wanted.Spec.Interfaces = view.Patterns
	return wanted, q, ends, nil
}

// ownedBy makes the Service the controller of its announcement. It does not block the
// Service's deletion, which would need rights on the Service's finalizers.
func ownedBy(s *corev1.Service) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Service", Name: s.Name, UID: s.UID, Controller: &yes}
}

// write creates or changes the announcement, if there is anything to change.
func (r *Reconciler) write(ctx context.Context, a, wanted *v1alpha1.VIPAnnouncement) (*v1alpha1.VIPAnnouncement, error) {
	if a == nil {
		wanted.ResourceVersion, wanted.UID = "", ""
		if err := r.client.Create(ctx, wanted); apierrors.IsAlreadyExists(err) {
			return nil, stale("vipannouncements", wanted.Name)
		} else if err != nil {
			return nil, fmt.Errorf("creating the VIPAnnouncement: %w", err)
		}
		return wanted, nil
	}
	if equality.Semantic.DeepEqual(a.Spec, wanted.Spec) && equality.Semantic.DeepEqual(a.ObjectMeta, wanted.ObjectMeta) {
		return a, nil
	}
	if err := r.client.Patch(ctx, wanted, client.MergeFromWithOptions(a, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, fmt.Errorf("writing the VIPAnnouncement: %w", err)
	}
	return wanted, nil
}

// controllerOf is the UID of the Service that an announcement belongs to.
func controllerOf(a *v1alpha1.VIPAnnouncement) types.UID {
	if a == nil {
		return ""
	}
	if ref := metav1.GetControllerOf(a); ref != nil {
		return ref.UID
	}
	return ""
}

// speaker is the node that an announcement says is speaking.
func speaker(a *v1alpha1.VIPAnnouncement) string {
	if a == nil {
		return ""
	}
	return a.Status.Node
}

// stale is a conflict: the cache shows what is not so any more.
func stale(resource, name string) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: resource}, name, errors.New("the cache is behind"))
}
