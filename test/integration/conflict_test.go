// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// An address that another host uses before it was ever announced is nobody's for an hour,
// managers come and go meanwhile; the Service has another one, and never showed the first.
func TestContestedAddressIsSetAside(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	stop := w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.13"))
	s := w.service("web")
	seen := w.shown("web")
	w.announcement("web", announces("192.168.1.10"))
	w.hears("web", "192.168.1.10", stranger, v1alpha1.ReasonForeignHost)
	w.announcement("web", announces("192.168.1.11"))
	w.stays("web")
	w.probes(true)
	w.shows("web", "192.168.1.11")
	w.event("web", v1alpha1.EventAddressSetAside, "192.168.1.10", stranger, "node node1", "192.168.1.11 instead", "VIPPool lan")
	c := w.isAside("192.168.1.10", v1alpha1.SetAsideReplaced, stranger)
	if p := c.Spec.ParentRef; p.Name != "web" || p.Namespace != w.namespace {
		t.Errorf("parent %+v", p)
	}
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Status.Conflicts) != 0 || meta.FindStatusCondition(a.Status.Conditions, v1alpha1.AddressConflict) != nil {
			return fmt.Errorf("conflicts %v", a.Status.Conflicts)
		}
		return announces("192.168.1.11")(a)
	})
	if got := seen(); got != " 192.168.1.11" {
		t.Errorf("the Service showed %q", got)
	}
	w.poolIs("lan", counts(&v1alpha1.AddressCount{Capacity: 4, Allocated: 1, Available: 2, SetAside: 1}, nil))

	// Nobody gets it, by name neither; not from the next manager, nor when its Service is gone.
	stop()
	stop = w.manager()
	w.service("next")
	w.shows("next", "192.168.1.12")
	w.delete(s)
	w.withdrawn("web", "192.168.1.11")
	w.service("wish", annotated(v1alpha1.AnnotationAddresses, "192.168.1.10"))
	w.event("wish", v1alpha1.ReasonAllocationFailed, "192.168.1.10 is taken by another host ("+stranger+")", "kubectl delete ipaddress 192.168.1.10")
	w.service("a")
	w.shows("a", "192.168.1.11")
	w.service("b")
	w.shows("b", "192.168.1.13")
	w.service("c")
	w.event("c", v1alpha1.ReasonAllocationFailed, "no IPv4 address left (4 may be handed out, 1 set aside because other hosts use them)")
	w.poolIs("lan", has(v1alpha1.PoolExhausted, yes, v1alpha1.ReasonNoAddressLeft, "1 set aside because other hosts use them", "kubectl get ipaddresses -l arpeggio.dev/set-aside"))

	// After its time, which goes on while no manager is there, it is given again.
	stop()
	w.ages("192.168.1.10", time.Hour-2*time.Second)
	w.manager()
	w.stays("wish")
	w.eventually(func(context.Context) error {
		if wish, c := w.ips("wish"), w.ips("c"); len(wish)+len(c) != 1 || slices.Concat(wish, c)[0] != "192.168.1.10" {
			return fmt.Errorf("wish has %v, c has %v", wish, c)
		}
		return nil
	})
	if c := w.isAside("192.168.1.10", "", ""); c.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("claim %+v", c)
	}
}

// A manager that ends while it sets an address aside is continued by the next one.
func TestManagerEndsWhileItSetsAside(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	stop := w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.19"))
	for name, ip := range map[string]string{"claimed": "192.168.1.10", "marked": "192.168.1.15"} {
		w.service(name, annotated(v1alpha1.AnnotationAddresses, ip))
		w.announcement(name, announces(ip))
	}
	stop()
	for name, ip := range map[string]string{"claimed": "192.168.1.10", "marked": "192.168.1.15"} {
		var s corev1.Service
		w.get(name, &s)
		delete(s.Annotations, v1alpha1.AnnotationAddresses)
		w.update(&s)
		w.hears(name, ip, stranger, v1alpha1.ReasonForeignHost)
	}
	// The first had claimed the other address and no more.
	other := w.claim("192.168.1.10").DeepCopy()
	other.Name, other.ResourceVersion, other.UID = "192.168.1.17", "", ""
	w.create(other)
	// The second had set the address aside, and the Service shows it still.
	marked := w.claim("192.168.1.15")
	metav1.SetMetaDataLabel(&marked.ObjectMeta, v1alpha1.LabelSetAside, v1alpha1.SetAsideReplaced)
	metav1.SetMetaDataAnnotation(&marked.ObjectMeta, v1alpha1.AnnotationSetAsideMAC, stranger)
	metav1.SetMetaDataAnnotation(&marked.ObjectMeta, v1alpha1.AnnotationSetAsideSince, time.Now().UTC().Format(time.RFC3339))
	w.update(marked)
	var shows corev1.Service
	w.get("marked", &shows)
	shows.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.168.1.15"}}
	if err := w.client.Status().Update(t.Context(), &shows); err != nil {
		t.Fatal(err)
	}

	w.probes(true)
	w.manager()
	w.shows("claimed", "192.168.1.17")
	w.isAside("192.168.1.10", v1alpha1.SetAsideReplaced, stranger)
	w.shows("marked", "192.168.1.11")
	w.isAside("192.168.1.15", v1alpha1.SetAsideReplaced, stranger)
	w.poolIs("lan", counts(&v1alpha1.AddressCount{Capacity: 10, Allocated: 2, Available: 6, SetAside: 2}, nil))
}

// What a Service asked for, or brought along, is never replaced. What it asked for is shown when
// the other host has gone.
func TestContestedAddressThatIsWantedStays(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	old := w.service("brought")
	old.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.168.1.12"}}
	if err := w.client.Status().Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	stop := w.manager()
	w.shows("brought", "192.168.1.12")
	w.service("asked", annotated(v1alpha1.AnnotationAddresses, "192.168.1.15"))
	w.service("field", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.168.1.16" })
	stop()
	w.manager() // it knows by the claim what was brought along
	for name, ip := range map[string]string{"brought": "192.168.1.12", "asked": "192.168.1.15", "field": "192.168.1.16"} {
		w.announcement(name, announces(ip))
		w.hears(name, ip, stranger, v1alpha1.ReasonForeignHost)
		if w.keeps(name, ip); name == "brought" {
			w.stays(name, ip)
		} else {
			w.stays(name)
		}
		if c := w.claim(ip); c == nil || c.Labels[v1alpha1.LabelSetAside] != "" {
			t.Errorf("claim %+v", c)
		}
		w.announcement(name, func(a *v1alpha1.VIPAnnouncement) error {
			if len(a.Status.Conflicts) != 1 {
				return fmt.Errorf("conflicts %v", a.Status.Conflicts)
			}
			return errors.Join(announces(ip)(a), condition(a.Status.Conditions, v1alpha1.AddressConflict, yes, v1alpha1.ReasonForeignHost))
		})
		if n := w.events(name, v1alpha1.EventAddressSetAside); len(n) != 0 {
			t.Errorf("%s: %q", name, n)
		}
	}

	w.status("asked", func(s *v1alpha1.VIPAnnouncementStatus) { s.Conflicts = nil })
	w.probed("asked", "192.168.1.15")
	w.shows("asked", "192.168.1.15")
	w.stays("field")

	// Of the same name, but another Service: it brought nothing along.
	w.delete(old)
	w.withdrawn("brought", "192.168.1.12")
}

// Another load balancer, or a router that answers for everything, uses up no pool.
func TestFourthAddressForOneCardStays(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.30"))
	for i, name := range []string{"a", "b", "c", "d"} {
		w.service(name)
		w.announcement(name, announces(fmt.Sprintf("192.168.1.%d", 10+2*i)))
		w.hears(name, fmt.Sprintf("192.168.1.%d", 10+2*i), stranger, v1alpha1.ReasonOtherAnnouncer)
		if i < 3 {
			w.announcement(name, announces(fmt.Sprintf("192.168.1.%d", 11+2*i)))
		}
	}
	w.event("d", v1alpha1.EventAddressConflict, "192.168.1.16", stranger, "192.168.1.10, 192.168.1.12, 192.168.1.14", "proxy ARP", "the Service keeps it")
	w.probes(true)
	for i, name := range []string{"a", "b", "c"} {
		w.shows(name, fmt.Sprintf("192.168.1.%d", 11+2*i))
	}
	w.keeps("d", "192.168.1.16")
	w.stays("d")
	w.poolIs("lan", counts(&v1alpha1.AddressCount{Capacity: 21, Allocated: 4, Available: 14, SetAside: 3}, nil))

	// When one of the three is free again, the fourth has its turn.
	w.ages("192.168.1.12", 2*time.Hour)
	w.shows("d", "192.168.1.12")
	w.isAside("192.168.1.16", v1alpha1.SetAsideReplaced, stranger)
	if n := w.events("d", v1alpha1.EventAddressConflict); len(n) != 1 {
		t.Errorf("%q", n)
	}
}

// An address in use is defended, or yielded when the pool says so: then another is given, or
// the address of a Service that wants just it is not announced for a minute.
func TestConflictPolicy(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	stop := w.manager()
	p := w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.service("spoken")
	w.shows("spoken", "192.168.1.10")
	w.service("asked", annotated(v1alpha1.AnnotationAddresses, "192.168.1.15"))
	w.shows("asked", "192.168.1.15")
	w.announcement("spoken", announces("192.168.1.10"))
	w.announcement("asked", announces("192.168.1.15"))
	w.hold("spoken", "node1")
	w.speaks("spoken", "node1", "192.168.1.10")
	w.probed("asked", "192.168.1.15")
	w.hears("spoken", "192.168.1.10", stranger, v1alpha1.ReasonForeignHost)
	w.hears("asked", "192.168.1.15", stranger, v1alpha1.ReasonForeignHost)
	w.stays("spoken", "192.168.1.10")
	w.announcement("asked", announces("192.168.1.15"))

	p = w.reread(p)
	p.Spec.ConflictPolicy = v1alpha1.YieldAddress
	w.update(p)
	w.shows("spoken", "192.168.1.11")
	w.isAside("192.168.1.10", v1alpha1.SetAsideReplaced, stranger)
	w.announcement("asked", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Status.Probed)+len(a.Status.Conflicts) != 0 {
			return fmt.Errorf("status %+v", a.Status)
		}
		return errors.Join(announces()(a),
			condition(a.Status.Conditions, v1alpha1.Announced, no, v1alpha1.ReasonYielded, "192.168.1.15"),
			condition(a.Status.Conditions, v1alpha1.AddressUnserved, yes, v1alpha1.ReasonAddressYielded, "192.168.1.15", stranger, "VIPPool lan"))
	})
	w.isAside("192.168.1.15", v1alpha1.SetAsideYielded, stranger)
	w.event("asked", v1alpha1.EventAddressConflict, "192.168.1.15", stranger, "not announced for 60s")
	w.stays("asked", "192.168.1.15") // it is the Service's, and the Service shows it
	if n := w.events("asked", v1alpha1.EventAddressConflict); len(n) != 1 {
		t.Errorf("%q", n)
	}

	// A minute later, by another manager, it is announced again, and to be probed first.
	w.probes(false)
	stop()
	w.ages("192.168.1.15", 54*time.Second)
	stop = w.manager()
	w.announcement("asked", announces())
	w.announcement("asked", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Status.Probed) != 0 || meta.FindStatusCondition(a.Status.Conditions, v1alpha1.AddressUnserved) != nil {
			return fmt.Errorf("status %+v", a.Status)
		}
		return errors.Join(announces("192.168.1.15")(a), condition(a.Status.Conditions, v1alpha1.Announced, unknown, v1alpha1.ReasonPending))
	})
	w.isAside("192.168.1.15", "", "")
	// Heard by the probe, it is not in use: the conflict is told, and the address stays.
	w.hears("asked", "192.168.1.15", stranger, v1alpha1.ReasonForeignHost)
	w.stays("asked", "192.168.1.15")
	w.announcement("asked", announces("192.168.1.15"))
	stop()
}

// Status is written by agents, and read with care.
func TestConflictsAreNotBelievedBlindly(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.service("victim")
	w.announcement("victim", announces("192.168.1.10"))
	w.service("web")
	w.announcement("web", announces("192.168.1.11"))
	w.status("web", func(s *v1alpha1.VIPAnnouncementStatus) {
		for _, c := range []v1alpha1.Conflict{
			{Address: "192.168.1.10", MAC: stranger, Reason: v1alpha1.ReasonForeignHost},
			{Address: "192.168.1.11", MAC: "nobody", Reason: v1alpha1.ReasonForeignHost},
			{Address: "192.168.1.11", MAC: "ff:ff:ff:ff:ff:ff", Reason: v1alpha1.ReasonForeignHost},
			{Address: "192.168.1.11", MAC: "02:00:00:00:00:00:00:99", Reason: v1alpha1.ReasonForeignHost},
			{Address: "192.168.1.11/24", MAC: stranger, Reason: v1alpha1.ReasonForeignHost},
			{Address: "192.168.1.11", MAC: stranger, Reason: v1alpha1.ReasonProxyAnswers},
			{Address: "192.168.1.11", MAC: stranger, Reason: v1alpha1.ReasonKernelAnswers},
			{Address: "192.168.1.11", MAC: stranger, Reason: "Banana"},
		} {
			c.Reporter, c.Since = "node1\nx", metav1.Now()
			s.Conflicts = append(s.Conflicts, c)
		}
	})
	w.keeps("web", "192.168.1.11")
	w.keeps("victim", "192.168.1.10")
	var claims networkingv1.IPAddressList
	if err := w.client.List(t.Context(), &claims, client.HasLabels{v1alpha1.LabelSetAside}); err != nil || len(claims.Items) != 0 {
		t.Errorf("set aside: %v %v", claims.Items, err)
	}
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		for _, c := range a.Status.Conflicts {
			if c.Address != "192.168.1.11" {
				return fmt.Errorf("conflict %+v", c)
			}
		}
		return nil
	})
}
