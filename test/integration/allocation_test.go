// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers"
)

func TestServiceGetsAddressAnnouncementAndLease(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.node("node2", card("eth0", "192.168.1.12/24"))
	w.pool("lan", v1alpha1.VIPPoolSpec{Addresses: []v1alpha1.AddressRange{"192.168.1.240-192.168.1.250"}})
	w.manager()
	s := w.service("web")
	w.shows("web", "192.168.1.240")
	w.event("web", v1alpha1.EventAddressAllocated, "192.168.1.240", "lan")

	c := w.claim("192.168.1.240")
	if c == nil || c.Spec.ParentRef == nil || c.Spec.ParentRef.Resource != "services" || c.Spec.ParentRef.Name != "web" || c.Spec.ParentRef.Namespace != w.namespace {
		t.Fatalf("claim %+v", c)
	}
	if c.Labels[v1alpha1.LabelPool] != "lan" || c.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || c.Annotations[v1alpha1.AnnotationServiceUID] != string(s.UID) {
		t.Errorf("claim is labelled %v, annotated %v", c.Labels, c.Annotations)
	}
	a := w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Spec.Candidates) != 2 {
			return fmt.Errorf("candidates %v", a.Spec.Candidates)
		}
		return condition(a.Status.Conditions, v1alpha1.Announced, metav1.ConditionUnknown, v1alpha1.ReasonPending)
	})
	if !slices.Equal(a.Spec.Addresses, []v1alpha1.AnnouncedAddress{{Address: "192.168.1.240", Pool: "lan"}}) {
		t.Errorf("addresses %v", a.Spec.Addresses)
	}
	if ref := metav1.GetControllerOf(a); ref == nil || ref.UID != s.UID {
		t.Errorf("controlled by %v", ref)
	}
	l := w.lease("web")
	if l == nil || l.Spec.HolderIdentity != nil || l.Spec.RenewTime != nil || l.Spec.LeaseDurationSeconds != nil {
		t.Fatalf("Lease %+v", l)
	}
	if l.Annotations[v1alpha1.AnnotationCandidates] != "node1,node2" || l.Labels[v1alpha1.LabelWatch] != v1alpha1.WatchService || a.Spec.LeaseName != l.Name {
		t.Errorf("Lease %q: %v %v", l.Name, l.Annotations, l.Labels)
	}
}

func TestDualStack(t *testing.T) {
	w := newWorld(t)
	w.pool("four", addresses("192.168.1.10-192.168.1.20"))
	six := w.pool("six", addresses("fd00:1::10-fd00:1::20"))
	w.manager()
	w.service("46", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	w.shows("46", "192.168.1.10", "fd00:1::10")
	w.service("64", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol))
	w.shows("64", "fd00:1::11", "192.168.1.11")
	w.service("6", stack(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol))
	w.shows("6", "fd00:1::12")
	w.announcement("64", func(a *v1alpha1.VIPAnnouncement) error {
		if a.Annotations[v1alpha1.AnnotationAddresses] != "fd00:1::11,192.168.1.11" || len(a.Spec.Addresses) != 2 || a.Spec.Addresses[0].Pool != "six" {
			return fmt.Errorf("%v %v", a.Annotations, a.Spec.Addresses)
		}
		return nil
	})

	w.delete(six)
	w.service("require", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	w.event("require", v1alpha1.ReasonAllocationFailed, "VIPPool four has no IPv6 addresses")
	w.service("prefer", stack(corev1.IPFamilyPolicyPreferDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol))
	w.shows("prefer", "192.168.1.12")
	if got := w.ips("require"); len(got) != 0 {
		t.Errorf("all or nothing, but it has %v", got)
	}
	w.pool("six", addresses("fd00:1::10-fd00:1::20"))
	w.eventually(func(context.Context) error {
		prefer, require := w.ips("prefer"), w.ips("require")
		if len(prefer) != 2 || prefer[1] != "192.168.1.12" || len(require) != 2 || require[0] != "192.168.1.13" {
			return fmt.Errorf("prefer has %v, require %v", prefer, require)
		}
		return nil
	})
}

func TestRequests(t *testing.T) {
	w := newWorld(t)
	w.pool("lan", v1alpha1.VIPPoolSpec{Addresses: []v1alpha1.AddressRange{"192.168.1.10-192.168.1.20"}, Exclude: []v1alpha1.AddressRange{"192.168.1.19"}})
	w.pool("spare", v1alpha1.VIPPoolSpec{Addresses: []v1alpha1.AddressRange{"192.168.2.10-192.168.2.20"}, AutoAssign: v1alpha1.Disabled, Priority: 7})
	w.pool("gold", v1alpha1.VIPPoolSpec{Addresses: []v1alpha1.AddressRange{"192.168.3.10"}, Priority: 9,
		ServiceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}})
	w.manager()
	w.service("plain")
	w.shows("plain", "192.168.1.10")
	w.service("gold", func(s *corev1.Service) { s.Labels = map[string]string{"tier": "gold"} })
	w.shows("gold", "192.168.3.10")
	w.service("by-pool", annotated(v1alpha1.AnnotationPool, "spare"))
	w.shows("by-pool", "192.168.2.10")
	w.service("by-address", annotated(v1alpha1.AnnotationAddresses, "192.168.2.15"))
	w.shows("by-address", "192.168.2.15")
	w.service("by-field", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.168.1.17" })
	w.shows("by-field", "192.168.1.17")

	for name, tc := range map[string]struct {
		change func(*corev1.Service)
		parts  []string
	}{
		"outside":  {annotated(v1alpha1.AnnotationAddresses, "10.1.1.1"), []string{"10.1.1.1 is in no VIPPool", "lan (192.168.1.10-192.168.1.20)"}},
		"taken":    {annotated(v1alpha1.AnnotationAddresses, "192.168.1.10"), []string{"192.168.1.10 is taken by Service " + w.namespace + "/plain", "request another one"}},
		"excluded": {annotated(v1alpha1.AnnotationAddresses, "192.168.1.19"), []string{"excluded by VIPPool lan"}},
		"garbage":  {annotated(v1alpha1.AnnotationAddresses, "192.168.1"), []string{`annotation arpeggio.dev/addresses "192.168.1"`, "write one address per family"}},
		"family":   {annotated(v1alpha1.AnnotationAddresses, "fd00::1"), []string{"fd00::1 is IPv6, and the Service is IPv4 only"}},
		"unknown":  {annotated(v1alpha1.AnnotationPool, "lam"), []string{`there is no VIPPool "lam"`, "gold, lan, spare"}},
		"not-gold": {annotated(v1alpha1.AnnotationPool, "gold"), []string{"VIPPool gold is not for this Service", "change the labels"}},
	} {
		w.service(name, tc.change)
		w.event(name, v1alpha1.ReasonAllocationFailed, tc.parts...)
		w.announcement(name, func(a *v1alpha1.VIPAnnouncement) error {
			return condition(a.Status.Conditions, v1alpha1.Announced, no, v1alpha1.ReasonAllocationFailed, tc.parts...)
		})
		if got := w.ips(name); len(got) != 0 {
			t.Errorf("%s has %v", name, got)
		}
	}

	// A Service that asks for another address gets it, and the old one comes back.
	var s corev1.Service
	w.get("plain", &s)
	annotated(v1alpha1.AnnotationAddresses, "192.168.1.20")(&s)
	w.update(&s)
	w.shows("plain", "192.168.1.20")
	w.shows("taken", "192.168.1.10")
	// One that asks for what it cannot have keeps what it has.
	w.get("plain", &s)
	annotated(v1alpha1.AnnotationAddresses, "10.9.9.9")(&s)
	w.update(&s)
	w.event("plain", v1alpha1.ReasonAllocationFailed, "10.9.9.9 is in no VIPPool")
	w.shows("plain", "192.168.1.20")
}

func TestSharingKeyIsNotSilent(t *testing.T) {
	w := newWorld(t)
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.manager()
	w.service("a", annotated("arpeggio.dev/sharing-key", "k"))
	w.service("b", annotated("arpeggio.dev/sharing-key", "k"))
	w.event("a", "SharingNotSupported", "does not share addresses")
	w.event("b", "SharingNotSupported", "does not share addresses")
	w.eventually(func(context.Context) error {
		if a, b := w.ips("a"), w.ips("b"); len(a) != 1 || len(b) != 1 || a[0] == b[0] {
			return fmt.Errorf("%v and %v", a, b)
		}
		return nil
	})
}

func TestClasses(t *testing.T) {
	w := newWorld(t)
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	class := func(c string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &c }
	}
	stop := w.manager(func(o *controllers.Options) { o.OnlyNamedClass = true })
	w.service("foreign", class("example.com/other"))
	w.service("none")
	w.service("ours", class(v1alpha1.LoadBalancerClass))
	w.shows("ours", "192.168.1.10")
	for _, name := range []string{"foreign", "none"} {
		var s corev1.Service
		w.get(name, &s)
		if len(s.Status.LoadBalancer.Ingress) != 0 || w.lease(name) != nil {
			t.Errorf("%s was touched: %+v", name, s.Status)
		}
	}
	stop()

	// A foreign controller's address is its own, and out of reach for ours.
	var foreign corev1.Service
	w.get("foreign", &foreign)
	foreign.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.168.1.11"}}
	if err := w.client.Status().Update(t.Context(), &foreign); err != nil {
		t.Fatal(err)
	}
	w.manager()
	w.shows("none", "192.168.1.12")
	var after corev1.Service
	w.get("foreign", &after)
	if after.ResourceVersion != foreign.ResourceVersion {
		t.Error("the Service of a foreign class was written")
	}
}

func TestAddressFoundInStatusIsAdopted(t *testing.T) {
	w := newWorld(t)
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	old := w.service("old", annotated("x", "y"))
	old.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.168.1.10"}}
	if err := w.client.Status().Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		w.service(fmt.Sprintf("new%d", i))
	}
	w.manager()
	w.shows("old", "192.168.1.10")
	w.eventually(func(context.Context) error {
		if c := w.claim("192.168.1.10"); c == nil || c.Spec.ParentRef.Name != "old" {
			return fmt.Errorf("claim %+v", c)
		}
		return nil
	})
}

func TestRestartKeepsAddresses(t *testing.T) {
	w := newWorld(t)
	w.pool("lan", addresses("192.168.1.10-192.168.1.60"))
	stop := w.manager()
	before := map[string][]string{}
	for i := range 20 {
		w.service(fmt.Sprintf("s%02d", i))
	}
	w.eventually(func(context.Context) error {
		for i := range 20 {
			name := fmt.Sprintf("s%02d", i)
			if before[name] = w.ips(name); len(before[name]) != 1 {
				return fmt.Errorf("%s has no address", name)
			}
			if n := len(w.events(name, v1alpha1.EventAddressAllocated)); n != 1 {
				return fmt.Errorf("%s: %d Events", name, n) // it follows the address
			}
		}
		return nil
	})
	stop()
	w.service("between")
	w.manager()
	w.eventually(func(context.Context) error {
		if len(w.ips("between")) != 1 {
			return fmt.Errorf("nothing for the new Service")
		}
		return nil
	})
	for name, ips := range before {
		if got := w.ips(name); !slices.Equal(got, ips) {
			t.Errorf("%s had %v, has %v", name, ips, got)
		}
		if n := len(w.events(name, v1alpha1.EventAddressAllocated)); n != 1 {
			t.Errorf("%s: %d Events", name, n)
		}
	}
}

// Two managers without leader election, on caches that lag behind each other, give no
// address twice, and leave no claim that nobody uses.
func TestTwoManagersGiveNothingTwice(t *testing.T) {
	w := newWorld(t)
	w.pool("lan", addresses("192.168.1.10-192.168.1.60", "fd00::/120"))
	w.manager()
	w.manager()
	const n = 40
	var making sync.WaitGroup
	for i := range n {
		making.Go(func() {
			w.service(fmt.Sprintf("s%02d", i), stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
		})
	}
	making.Wait()
	w.eventually(func(ctx context.Context) error {
		owner := map[string]string{}
		for i := range n {
			name := fmt.Sprintf("s%02d", i)
			ips := w.ips(name)
			if len(ips) != 2 {
				return fmt.Errorf("%s has %v", name, ips)
			}
			for _, ip := range ips {
				if other, twice := owner[ip]; twice {
					t.Fatalf("%s is %s's and %s's", ip, other, name)
				}
				owner[ip] = name
			}
		}
		var claims networkingv1.IPAddressList
		if err := w.client.List(ctx, &claims); err != nil {
			return err
		}
		for _, c := range claims.Items {
			if c.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && owner[c.Name] != c.Spec.ParentRef.Name {
				return fmt.Errorf("%s is claimed for %s and shown by %q", c.Name, c.Spec.ParentRef.Name, owner[c.Name])
			}
		}
		return nil
	})
}

// A claim that somebody else made while the cache looked away is respected.
func TestForeignClaimIsRespected(t *testing.T) {
	w := newWorld(t)
	foreign := &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: "192.168.1.10"},
		Spec:       networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Group: "example.com", Resource: "gateways", Namespace: "x", Name: "gw"}},
	}
	w.create(foreign)
	t.Cleanup(func() { _ = w.client.Delete(context.Background(), foreign) })
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.manager()
	w.service("web")
	w.shows("web", "192.168.1.11")
	w.service("wish", annotated(v1alpha1.AnnotationAddresses, "192.168.1.10"))
	w.event("wish", v1alpha1.ReasonAllocationFailed, "192.168.1.10 is taken by gateways x/gw")
}
