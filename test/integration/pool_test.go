// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	yes     = metav1.ConditionTrue
	no      = metav1.ConditionFalse
	unknown = metav1.ConditionUnknown
)

// addresses makes the spec of a pool.
func addresses(entries ...v1alpha1.AddressRange) v1alpha1.VIPPoolSpec {
	return v1alpha1.VIPPoolSpec{Addresses: entries}
}

// poolIs waits until a pool is as the checks want it.
func (w *world) poolIs(name string, checks ...func(*v1alpha1.VIPPool) error) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var p v1alpha1.VIPPool
		if err := w.client.Get(ctx, types.NamespacedName{Name: name}, &p); err != nil {
			return err
		}
		if p.Status.ObservedGeneration != p.Generation {
			return fmt.Errorf("generation %d, observed %d", p.Generation, p.Status.ObservedGeneration)
		}
		var errs []error
		for _, c := range checks {
			errs = append(errs, c(&p))
		}
		return errors.Join(errs...)
	})
}

// has wants a condition of a pool.
func has(kind string, status metav1.ConditionStatus, reason string, parts ...string) func(*v1alpha1.VIPPool) error {
	return func(p *v1alpha1.VIPPool) error { return condition(p.Status.Conditions, kind, status, reason, parts...) }
}

// counts wants the numbers of a pool, by family.
func counts(v4, v6 *v1alpha1.AddressCount) func(*v1alpha1.VIPPool) error {
	return func(p *v1alpha1.VIPPool) error {
		for _, f := range []struct{ got, want *v1alpha1.AddressCount }{{p.Status.IPv4, v4}, {p.Status.IPv6, v6}} {
			if (f.got == nil) != (f.want == nil) || f.got != nil && *f.got != *f.want {
				return fmt.Errorf("counts %+v, want %+v", f.got, f.want)
			}
		}
		return nil
	}
}

func TestPoolStatus(t *testing.T) {
	w := newWorld(t)
	w.manager()
	w.pool("lan", addresses("192.168.1.240-192.168.1.250", "fd00:1::/64"))
	w.poolIs("lan", has(v1alpha1.PoolReady, yes, v1alpha1.ReasonPoolReady), has(v1alpha1.PoolOverlapping, no, v1alpha1.ReasonNoOverlap),
		has(v1alpha1.PoolExhausted, no, v1alpha1.ReasonAddressesLeft),
		counts(&v1alpha1.AddressCount{Capacity: 11, Available: 11}, &v1alpha1.AddressCount{Capacity: math.MaxInt64, Available: math.MaxInt64}))
	w.service("web", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	w.shows("web", "192.168.1.240", "fd00:1::1")
	w.poolIs("lan", counts(&v1alpha1.AddressCount{Capacity: 11, Allocated: 1, Available: 10}, &v1alpha1.AddressCount{Capacity: math.MaxInt64, Allocated: 1, Available: math.MaxInt64}))
}

func TestPoolWithReversedRange(t *testing.T) {
	w := newWorld(t)
	w.manager()
	p := w.pool("lan", addresses("192.168.1.50", "192.168.1.40-192.168.1.30"))
	w.poolIs("lan", has(v1alpha1.PoolReady, no, v1alpha1.ReasonInvalidAddresses,
		`addresses[1] "192.168.1.40-192.168.1.30": the range is reversed: write 192.168.1.30-192.168.1.40`),
		has(v1alpha1.PoolExhausted, unknown, v1alpha1.ReasonInvalidAddresses))
	w.service("web")
	w.event("web", v1alpha1.ReasonAllocationFailed, "VIPPool lan cannot be used", "the range is reversed", "correct the pool")

	w.pool("good", addresses("192.168.2.10")) // a wrong pool hinders no other
	w.shows("web", "192.168.2.10")

	p.Spec.Addresses[1] = "192.168.1.30-192.168.1.40"
	w.update(p)
	w.poolIs("lan", has(v1alpha1.PoolReady, yes, v1alpha1.ReasonPoolReady), counts(&v1alpha1.AddressCount{Capacity: 12, Available: 12}, nil))
	w.eventuallyEvent("default", "lan", v1alpha1.ReasonInvalidAddresses, "reversed")
	w.eventuallyEvent("default", "lan", v1alpha1.ReasonPoolReady)
}

func TestPoolOverlaps(t *testing.T) {
	w := newWorld(t)
	w.manager()
	a := w.pool("a", addresses("192.168.1.10-192.168.1.20"))
	w.pool("b", addresses("192.168.1.19-192.168.1.30"))
	w.poolIs("a", has(v1alpha1.PoolOverlapping, yes, v1alpha1.ReasonOverlapsPool, "192.168.1.19-192.168.1.20 is also in VIPPool b", "take it out of one"),
		counts(&v1alpha1.AddressCount{Capacity: 9, Available: 9}, nil))
	w.poolIs("b", has(v1alpha1.PoolOverlapping, yes, v1alpha1.ReasonOverlapsPool, "VIPPool a"), counts(&v1alpha1.AddressCount{Capacity: 10, Available: 10}, nil))
	w.service("web", annotated(v1alpha1.AnnotationAddresses, "192.168.1.20"))
	w.event("web", v1alpha1.ReasonAllocationFailed, "192.168.1.20 is in two VIPPools, a and b")

	a.Spec.Exclude = []v1alpha1.AddressRange{"192.168.1.19-192.168.1.20"}
	w.update(a)
	w.poolIs("a", has(v1alpha1.PoolOverlapping, no, v1alpha1.ReasonNoOverlap))
	w.poolIs("b", has(v1alpha1.PoolOverlapping, no, v1alpha1.ReasonNoOverlap))
	w.shows("web", "192.168.1.20") // what was refused is tried again

	w.pool("cluster", addresses("10.96.0.250-10.97.0.10"))
	w.poolIs("cluster", has(v1alpha1.PoolOverlapping, yes, v1alpha1.ReasonOverlapsServiceCIDR, "10.96.0.250-10.96.255.255", "10.96.0.0/16"))
	w.create(&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.97.0.0/24"}}})
	t.Cleanup(func() {
		_ = w.client.Delete(context.Background(), &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"}})
	})
	w.poolIs("cluster", has(v1alpha1.PoolOverlapping, yes, v1alpha1.ReasonOverlapsServiceCIDR, "10.97.0.0/24"), counts(&v1alpha1.AddressCount{}, nil))

	n := w.node("node1")
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.25"}}
	if err := w.client.Status().Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	w.poolIs("b", has(v1alpha1.PoolOverlapping, yes, v1alpha1.ReasonOverlapsNode, "192.168.1.25 is an address of node node1", "exclude it"))
}

func TestPoolExhausted(t *testing.T) {
	w := newWorld(t)
	w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.11"))
	first := w.service("a")
	w.shows("a", "192.168.1.10")
	w.service("b")
	w.shows("b", "192.168.1.11")
	w.service("c")
	w.event("c", v1alpha1.ReasonAllocationFailed, "VIPPool lan has no IPv4 address left (2 may be handed out)", "add addresses to the pool")
	w.announcement("c", func(a *v1alpha1.VIPAnnouncement) error {
		return condition(a.Status.Conditions, v1alpha1.Announced, no, v1alpha1.ReasonAllocationFailed, "no IPv4 address left")
	})
	w.poolIs("lan", has(v1alpha1.PoolExhausted, yes, v1alpha1.ReasonNoAddressLeft, "no IPv4 address is left of 2"))
	w.delete(first)
	w.shows("c", "192.168.1.10") // who waits is served
}

func TestPoolDrainedEditedDeleted(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.manager()
	p := w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.service("web")
	w.shows("web", "192.168.1.10")
	spoken := func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Spec.Addresses) != 1 || a.Spec.Addresses[0].Address != "192.168.1.10" || len(a.Spec.Candidates) != 1 {
			return fmt.Errorf("%+v", a.Spec)
		}
		return nil
	}
	w.announcement("web", spoken)

	p = w.reread(p)
	p.Spec.Allocation = v1alpha1.Disabled
	w.update(p)
	w.poolIs("lan", has(v1alpha1.PoolReady, no, v1alpha1.ReasonAllocationDisabled))
	w.service("late")
	w.event("late", v1alpha1.ReasonAllocationFailed, "VIPPool lan gives no new addresses", "allocation: Enabled")

	p = w.reread(p)
	p.Spec.Addresses, p.Spec.Allocation = []v1alpha1.AddressRange{"192.168.1.30"}, v1alpha1.Enabled
	w.update(p)
	w.shows("late", "192.168.1.30")
	w.poolIs("lan", counts(&v1alpha1.AddressCount{Capacity: 1, Allocated: 2, Available: 0}, nil))
	w.shows("web", "192.168.1.10")

	w.delete(p)
	w.service("after")
	w.event("after", v1alpha1.ReasonAllocationFailed, "there is no VIPPool", "create one")
	w.shows("web", "192.168.1.10")
	w.announcement("web", spoken)
	if w.claim("192.168.1.10") == nil {
		t.Error("the claim is gone")
	}
}
