// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const stranger = "02:00:00:00:00:99"

// hears writes what an agent does when it hears another host use an address.
func (w *world) hears(name, address, mac, reason string) {
	w.t.Helper()
	w.status(name, func(s *v1alpha1.VIPAnnouncementStatus) {
		s.Conflicts = append(s.Conflicts, v1alpha1.Conflict{Address: address, MAC: mac, Reporter: "node1", Interface: "eth0", Reason: reason, Since: metav1.Now()})
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.AddressConflict, Status: yes, Reason: reason, Message: address + " is used by " + mac})
	})
}

// probed writes what an agent does when it finds addresses free.
func (w *world) probed(name string, ips ...string) {
	w.t.Helper()
	w.status(name, func(s *v1alpha1.VIPAnnouncementStatus) { s.Probed = ips })
}

// status changes the status of an announcement, once there is one.
func (w *world) status(name string, change func(*v1alpha1.VIPAnnouncementStatus)) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var a v1alpha1.VIPAnnouncement
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &a); err != nil {
			return err
		}
		change(&a.Status)
		return w.client.Status().Update(ctx, &a)
	})
}

// announces wants an announcement to have just these addresses.
func announces(ips ...string) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		var got []string
		for _, x := range a.Spec.Addresses {
			got = append(got, x.Address)
		}
		if !slices.Equal(got, ips) {
			return fmt.Errorf("announced are %v, want %v", got, ips)
		}
		return nil
	}
}

// isAside waits until the claim of an address is set aside in this way.
func (w *world) isAside(address, how, mac string) *networkingv1.IPAddress {
	w.t.Helper()
	var c *networkingv1.IPAddress
	w.eventually(func(context.Context) error {
		if c = w.claim(address); c == nil {
			return fmt.Errorf("%s is not claimed", address)
		}
		if c.Labels[v1alpha1.LabelSetAside] != how || c.Annotations[v1alpha1.AnnotationSetAsideMAC] != mac {
			return fmt.Errorf("claim %s: %v %v", address, c.Labels, c.Annotations)
		}
		since, err := time.Parse(time.RFC3339, c.Annotations[v1alpha1.AnnotationSetAsideSince])
		if how != "" && (err != nil || time.Since(since) > time.Minute) {
			return fmt.Errorf("set aside since %v: %w", c.Annotations, err)
		}
		return nil
	})
	return c
}

// ages makes a claim be set aside for a longer time than it is.
func (w *world) ages(address string, by time.Duration) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		c := w.claim(address)
		if c == nil {
			return errors.New("it is not claimed")
		}
		c.Annotations[v1alpha1.AnnotationSetAsideSince] = time.Now().Add(-by).UTC().Format(time.RFC3339)
		return w.client.Update(ctx, c)
	})
}

// stays wants a Service to show these addresses for a while.
func (w *world) stays(name string, ips ...string) {
	w.t.Helper()
	time.Sleep(700 * time.Millisecond)
	if got := w.ips(name); !slices.Equal(got, ips) {
		w.t.Errorf("Service %s shows %v, want %v", name, got, ips)
	}
}

// An address that another host uses before it was ever announced is nobody's for an hour,
// managers come and go meanwhile; the Service has another one, and was never without.
func TestContestedAddressIsSetAside(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	stop := w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.13"))
	s := w.service("web")
	w.shows("web", "192.168.1.10")
	seen := w.shown("web")
	w.hears("web", "192.168.1.10", stranger, v1alpha1.ReasonForeignHost)
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
	if got := seen(); got != "192.168.1.10 192.168.1.11" {
		t.Errorf("the Service showed %s", got)
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

// shown notes what a Service shows from now on; the result gives each state once.
func (w *world) shown(name string) (seen func() string) {
	w.t.Helper()
	c, err := client.NewWithWatch(server.config, client.Options{Scheme: w.client.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	watcher, err := c.Watch(w.t.Context(), &corev1.ServiceList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.t.Fatal(err)
	}
	all := make(chan []string, 1)
	go func() {
		var texts []string
		for e := range watcher.ResultChan() {
			s, ok := e.Object.(*corev1.Service)
			if !ok || s.Name != name {
				continue
			}
			text := ""
			for _, in := range s.Status.LoadBalancer.Ingress {
				text += in.IP
			}
			if len(texts) == 0 || texts[len(texts)-1] != text {
				texts = append(texts, text)
			}
		}
		all <- texts
	}()
	return func() string {
		time.Sleep(300 * time.Millisecond) // the watch may be behind
		watcher.Stop()
		return strings.Join(<-all, " ")
	}
}

// What a Service asked for, or brought along, is never replaced.
func TestContestedAddressThatIsWantedStays(t *testing.T) {
	w := newWorld(t)
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
		w.shows(name, ip)
		w.announcement(name, announces(ip))
		w.hears(name, ip, stranger, v1alpha1.ReasonForeignHost)
		w.stays(name, ip)
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

	// Of the same name, but another Service: it brought nothing along.
	w.delete(old)
	w.withdrawn("brought", "192.168.1.12")
}

// Another load balancer, or a router that answers for everything, uses up no pool.
func TestFourthAddressForOneCardStays(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.30"))
	for i, name := range []string{"a", "b", "c", "d"} {
		w.service(name)
		w.shows(name, fmt.Sprintf("192.168.1.%d", 10+2*i))
		w.announcement(name, announces(fmt.Sprintf("192.168.1.%d", 10+2*i)))
		w.hears(name, fmt.Sprintf("192.168.1.%d", 10+2*i), stranger, v1alpha1.ReasonOtherAnnouncer)
		if i < 3 {
			w.shows(name, fmt.Sprintf("192.168.1.%d", 11+2*i))
		}
	}
	w.event("d", v1alpha1.EventAddressConflict, "192.168.1.16", stranger, "192.168.1.10, 192.168.1.12, 192.168.1.14", "proxy ARP", "the Service keeps it")
	w.stays("d", "192.168.1.16")
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
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.manager()
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.service("victim")
	w.shows("victim", "192.168.1.10")
	w.service("web")
	w.shows("web", "192.168.1.11")
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
	w.stays("web", "192.168.1.11")
	w.stays("victim", "192.168.1.10")
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
