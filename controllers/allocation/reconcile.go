// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/requeue"
)

// attempts is how often another address is tried when the chosen one turns out to be
// taken; a cache that is that far behind gets time to catch up.
const attempts = 8

// Recorder writes Events.
type Recorder interface{ Record(journal.Entry) }

// Nodes knows which agents are there.
type Nodes interface {
	// Probes tells whether the agent of a node could probe an address.
	Probes(node string, a netip.Addr, patterns []v1alpha1.InterfacePattern) bool
}

// Reconciler gives Services their addresses.
type Reconciler struct {
	client    client.Client // reads through the cache
	live      client.Reader // reads from the API server
	inventory *inventory.Inventory
	nodes     Nodes
	recorder  Recorder
	class     inventory.Class
	namespace string // of the installation, where the Leases are
}

// New gives a reconciler; namespace is the installation's.
func New(c client.Client, live client.Reader, inv *inventory.Inventory, nodes Nodes, rec Recorder, class inventory.Class, namespace string) *Reconciler {
	return &Reconciler{client: c, live: live, inventory: inv, nodes: nodes, recorder: rec, class: class, namespace: namespace}
}

// Reconcile brings one Service to the addresses it should have.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var s corev1.Service
	err := r.client.Get(ctx, req.NamespacedName, &s)
	switch {
	case apierrors.IsNotFound(err):
		return r.withdraw(ctx, req.NamespacedName, nil)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading the Service: %w", err)
	case !r.class.Ours(&s):
		return r.withdraw(ctx, req.NamespacedName, &s)
	}
	again, err := r.allocate(ctx, &s)
	if err != nil {
		return requeue.Outcome(err)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// allocate carries out the decision on a Service that is ours. It asks to be called again after
// some time; zero: only when something changes.
func (r *Reconciler) allocate(ctx context.Context, s *corev1.Service) (again time.Duration, err error) {
	key := client.ObjectKeyFromObject(s)
	d, err := r.claim(ctx, s)
	if err != nil {
		return 0, err
	}
	for _, c := range d.Keep {
		if err := r.own(ctx, s, c); err != nil {
			r.takeBack(ctx, d.SetAside)
			return 0, err
		}
	}
	if err := r.settle(ctx, s, d); err != nil {
		return 0, err
	}
	shown, again, err := r.show(ctx, s, d)
	if err != nil {
		return 0, err
	}
	if err := r.refuse(ctx, s, d.Refusal); err != nil {
		return 0, err
	}
	for _, c := range d.Release {
		if slices.Contains(shown, c.Address.String()) {
			continue // until the one that it gets instead is shown
		}
		if spoken, err := r.spoken(ctx, key, c); err != nil || spoken {
			return again, err // when nobody speaks for it any more, the announcement's change brings us back
		}
		if err := r.remove(ctx, c); err != nil {
			return 0, err
		}
	}
	return again, nil
}

// claim decides, and claims the addresses that the decision takes. An address that turns
// out to be taken is noted, and the decision made anew.
func (r *Reconciler) claim(ctx context.Context, s *corev1.Service) (ipam.Decision, error) {
	var ns corev1.Namespace
	if err := r.client.Get(ctx, types.NamespacedName{Name: s.Namespace}, &ns); client.IgnoreNotFound(err) != nil {
		return ipam.Decision{}, fmt.Errorf("reading the Namespace: %w", err)
	}
	a, err := r.announcement(ctx, s)
	if err != nil {
		return ipam.Decision{}, err
	}
	for range attempts {
		q := inventory.Request(s)
		q.Contested, q.Now = readContests(a), time.Now().Unix()
		d := r.inventory.Decide(q, s.Labels, ns.Labels)
		stale, err := r.take(ctx, s, d)
		if err != nil || stale {
			r.takeBack(ctx, d.SetAside)
		}
		if err != nil || !stale {
			return d, err
		}
	}
	return ipam.Decision{}, fmt.Errorf("%d addresses in a row turned out to be taken: the cache is behind", attempts)
}

// refuse notes the refusal, or that there is none, and says so when it is news; after a
// restart the announcement still knows what was said last.
func (r *Reconciler) refuse(ctx context.Context, s *corev1.Service, refusal *ipam.Refusal) error {
	message := ""
	if refusal != nil {
		message = refusal.Error()
	}
	key := client.ObjectKeyFromObject(s)
	if !r.inventory.Refuse(key, message) || message == "" {
		return nil
	}
	var a v1alpha1.VIPAnnouncement
	if err := r.client.Get(ctx, key, &a); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the VIPAnnouncement: %w", err)
	}
	for _, c := range a.Status.Conditions {
		if c.Type == v1alpha1.Announced && c.Reason == v1alpha1.ReasonAllocationFailed && c.Message == message {
			return nil
		}
	}
	r.recorder.Record(refused(s, refusal))
	return nil
}

// spoken tells whether somebody may still speak for an address of a living Service.
func (r *Reconciler) spoken(ctx context.Context, key types.NamespacedName, c ipam.Claim) (bool, error) {
	var a v1alpha1.VIPAnnouncement
	if err := r.client.Get(ctx, key, &a); err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("reading the VIPAnnouncement: %w", err)
	}
	address := c.Address.String()
	for _, x := range a.Spec.Addresses {
		if x.Address == address {
			return true, nil
		}
	}
	for _, x := range a.Status.Addresses {
		if x.Address == address {
			return true, nil
		}
	}
	return false, nil
}
