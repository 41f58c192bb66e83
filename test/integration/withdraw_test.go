// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// gone is the deletion of an object; etcd's revisions order those of all kinds.
type gone struct {
	what     string
	revision int
}

// watching starts to note the deletions of Leases and claims; the result gives them in
// the order in which they happened.
func (w *world) watching() (deleted func() []string) {
	w.t.Helper()
	c, err := client.NewWithWatch(server.config, client.Options{Scheme: w.client.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	events := make(chan gone, 100)
	for what, list := range map[string]client.ObjectList{"Lease": &coordinationv1.LeaseList{}, "claim": &networkingv1.IPAddressList{}} {
		watcher, err := c.Watch(w.t.Context(), list)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(watcher.Stop)
		go func() {
			for e := range watcher.ResultChan() {
				if o, ok := e.Object.(client.Object); ok && e.Type == watch.Deleted && o.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
					revision, _ := strconv.Atoi(o.GetResourceVersion())
					events <- gone{what, revision}
				}
			}
		}()
	}
	var all []gone
	return func() []string {
		for more := true; more; {
			select {
			case g := <-events:
				all = append(all, g)
			default:
				more = false
			}
		}
		slices.SortFunc(all, func(a, b gone) int { return a.revision - b.revision })
		var order []string
		for _, g := range all {
			order = append(order, g.what)
		}
		return order
	}
}

// withdrawn waits until nothing of a Service is left.
func (w *world) withdrawn(name string, ips ...string) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var errs []error
		if w.lease(name) != nil {
			errs = append(errs, errors.New("the Lease is there"))
		}
		for _, ip := range ips {
			if w.claim(ip) != nil {
				errs = append(errs, fmt.Errorf("the claim of %s is there", ip))
			}
		}
		errs = append(errs, w.isGone(ctx, &v1alpha1.VIPAnnouncement{}, types.NamespacedName{Namespace: w.namespace, Name: name}))
		return errors.Join(errs...)
	})
}

func TestServiceDeleted(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.manager()
	s := w.service("web")
	w.shows("web", "192.168.1.10")
	w.hold("web", "node1")
	deleted := w.watching()
	w.delete(s)
	w.withdrawn("web", "192.168.1.10")
	w.eventually(func(context.Context) error {
		order := deleted()
		if len(order) != 2 {
			return fmt.Errorf("deleted %v", order)
		}
		if order[0] != "Lease" {
			t.Fatalf("deleted in the order %v", order)
		}
		return nil
	})
}

func TestServiceChangesType(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.manager()
	s := w.service("web")
	w.shows("web", "192.168.1.10")
	w.eventually(func(context.Context) error {
		if w.lease("web") == nil {
			return errors.New("no Lease")
		}
		return nil
	})
	w.get("web", s)
	s.Spec.Type = corev1.ServiceTypeClusterIP
	w.update(s)
	w.withdrawn("web", "192.168.1.10")
	w.shows("web")
	w.get("web", s)
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	w.update(s)
	w.shows("web", "192.168.1.10")
}

func TestServiceGoesWhileTheManagerIsAway(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	stop := w.manager()
	gone, again := w.service("gone"), w.service("again", annotated(v1alpha1.AnnotationAddresses, "192.168.1.15"))
	w.shows("gone", "192.168.1.10")
	w.shows("again", "192.168.1.15")
	w.hold("again", "node1")
	before := w.lease("again")
	stop()
	w.delete(gone)
	w.delete(again)
	fresh := w.service("again")
	w.manager()
	w.withdrawn("gone", "192.168.1.10")
	// The same name again: the address comes back, the reign does not.
	w.shows("again", "192.168.1.15")
	w.eventually(func(context.Context) error {
		c, l := w.claim("192.168.1.15"), w.lease("again")
		if c == nil || c.Annotations[v1alpha1.AnnotationServiceUID] != string(fresh.UID) {
			return fmt.Errorf("claim %+v", c)
		}
		if l == nil || l.UID == before.UID || l.Spec.HolderIdentity != nil || l.Annotations[v1alpha1.AnnotationServiceUID] != string(fresh.UID) {
			return fmt.Errorf("Lease %+v", l)
		}
		return nil
	})
	w.announcement("again", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.OwnerReferences) != 1 || a.OwnerReferences[0].UID != fresh.UID || len(a.Spec.Addresses) != 1 {
			return fmt.Errorf("%+v %+v", a.OwnerReferences, a.Spec)
		}
		return nil
	})
}

// An address that a Service gives up for another one stays claimed while somebody still
// says that he speaks for it.
func TestReleasedAddressWaitsForItsSpeaker(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.manager()
	w.service("web")
	w.shows("web", "192.168.1.10")
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.10")
	var s corev1.Service
	w.get("web", &s)
	annotated(v1alpha1.AnnotationAddresses, "192.168.1.15")(&s)
	w.update(&s)
	w.shows("web", "192.168.1.15")
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Spec.Addresses) != 1 || a.Spec.Addresses[0].Address != "192.168.1.15" {
			return fmt.Errorf("%+v", a.Spec.Addresses)
		}
		return nil
	})
	if w.claim("192.168.1.10") == nil {
		t.Fatal("the address is free while node1 speaks for it")
	}
	w.speaks("web", "node1", "192.168.1.15")
	w.eventually(func(context.Context) error {
		if w.claim("192.168.1.10") != nil {
			return errors.New("the claim is there")
		}
		return nil
	})
}
