// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// service: the life of a dual-stack Service. It gets an address of each family, one node
// speaks for both, and the API names it and says that others hear it; nothing is written while nothing happens; when the
// Service goes, all of it goes.
func (w *world) service(t *testing.T) {
	manifest := service("web", dual)
	w.serve(t, manifest)
	a := w.spoken(t, "web")
	addrs := addresses(t, a)

	var s corev1.Service
	w.get(t, "web", &s)
	var shown []netip.Addr
	for _, in := range s.Status.LoadBalancer.Ingress {
		if in.IPMode == nil || *in.IPMode != corev1.LoadBalancerIPModeVIP {
			t.Errorf("ingress %s: ipMode %v, want VIP", in.IP, in.IPMode)
		}
		shown = append(shown, netip.MustParseAddr(in.IP))
	}
	if !slices.Equal(shown, addrs) || len(addrs) != 2 || !addrs[0].Is4() || !addrs[1].Is6() {
		t.Fatalf("the Service shows %v, its announcement %v; want the same IPv4 and IPv6 address in both", shown, addrs)
	}
	if out := w.kubectl(t, "get", "service", "web", "--no-headers"); !holds(out, addrs[0].String()+","+addrs[1].String()) {
		t.Errorf("kubectl get service: %s", out)
	}
	mac := w.mac(t, a.Status.Node)
	if out := w.kubectl(t, "get", "vipannouncements", "-A", "-o", "wide"); !holds(out, addrs[0].String(), addrs[1].String(), a.Status.Node, cluster.LANInterface, mac) {
		t.Errorf("kubectl get vipannouncements -o wide lacks addresses, node, interface or MAC:\n%s", out)
	}
	for _, x := range a.Status.Addresses {
		if x.Interface != cluster.LANInterface || x.MAC != mac {
			t.Errorf("status says %+v, want %s of %s with %s", x, cluster.LANInterface, a.Status.Node, mac)
		}
	}
	w.eventually(t, "web", v1alpha1.EventAddressAllocated, addrs[0].String(), addrs[1].String(), "lan")
	w.eventually(t, "web", v1alpha1.EventVIPAnnounced, "node "+a.Status.Node+" ", addrs[0].String(), addrs[1].String())

	for _, addr := range addrs {
		w.answers(t, addr, mac)
	}
	w.watched(t, "web", metav1.ConditionTrue, v1alpha1.ReasonHeard)
	w.stable(t, "web")
	w.goes(t, manifest, addrs)
}

// answers checks that a client on the LAN reaches an address, and through which card.
func (w *world) answers(t *testing.T, addr netip.Addr, mac string) {
	t.Helper()
	if got := w.ask(t, client1, addr); !slices.Equal(got, []string{mac}) {
		t.Errorf("who has %s? %v, want %s alone", addr, got, mac)
	}
	if out := w.run(t, client1, "curl", "-sS", "--max-time", "5", fmt.Sprintf("http://%s/", netip.AddrPortFrom(addr, port))); !holds(out, "pod=", "node=") {
		t.Errorf("curl %s: %s", addr, out)
	}
	if got := w.run(t, client1, "ip", "neighbor", "show", addr.String()); !holds(got, "lladdr "+mac+" ") {
		t.Errorf("the client's neighbour table has %q, want %s", got, mac)
	}
	for _, kind := range []probe.Kind{probe.UDP, probe.HTTP} {
		w.reachable(t, []netip.Addr{addr}, kind)
		until(t, 20*time.Second, func() error { // each node's kube-proxy learns of the pods in its own time
			if r := w.probe(t, kind, addr, 20*time.Millisecond); len(r.Lost) > 0 || len(r.Answers) != 3 {
				return fmt.Errorf("%s; answers %v, want all three pods and nothing lost", r, r.Answers)
			}
			return nil
		})
	}
}

// versions are the resourceVersions of what Arpeggio writes for a Service.
func (w *world) versions(t *testing.T, name string) string {
	t.Helper()
	var (
		s corev1.Service
		a v1alpha1.VIPAnnouncement
		l coordinationv1.Lease
	)
	w.get(t, name, &s)
	w.get(t, name, &a)
	if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: system, Name: a.Spec.LeaseName}, &l); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("Service %s, announcement %s, Lease %s", s.ResourceVersion, a.ResourceVersion, l.ResourceVersion)
}

// stable checks that nothing is written for a Service while nothing happens.
func (w *world) stable(t *testing.T, name string) {
	t.Helper()
	before, events := w.versions(t, name), len(w.events(t, name))
	time.Sleep(5 * time.Second)
	if after := w.versions(t, name); after != before {
		t.Errorf("resource versions before five idle seconds: %s; after: %s", before, after)
	}
	if more := w.events(t, name); len(more) != events {
		t.Errorf("Events in five idle seconds: %d, then %q", events, more)
	}
}

// goes deletes a Service and checks that nothing of it is left, in the API or on the wire.
func (w *world) goes(t *testing.T, manifest string, addrs []netip.Addr) {
	t.Helper()
	var a v1alpha1.VIPAnnouncement
	w.get(t, "web", &a)
	watch := w.look(t, time.Second, addrs)
	w.remove(t, manifest)
	gone := func(name string, o client.Object) error {
		err := w.api.Get(t.Context(), client.ObjectKey{Namespace: o.GetNamespace(), Name: name}, o)
		if err == nil {
			return fmt.Errorf("%T %s is still there", o, name)
		}
		return client.IgnoreNotFound(err)
	}
	until(t, 15*time.Second, func() error {
		lease := &coordinationv1.Lease{}
		lease.Namespace = system
		announcement := &v1alpha1.VIPAnnouncement{}
		announcement.Namespace = namespace
		for _, err := range []error{
			gone(a.Spec.LeaseName, lease), gone("web", announcement),
			gone(addrs[0].String(), &networkingv1.IPAddress{}), gone(addrs[1].String(), &networkingv1.IPAddress{}),
		} {
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	})
	free := time.Now() // from now on the addresses may be given to another Service
	seen := watch.end(t)
	for _, addr := range addrs {
		spans := seen.voices[addr].Spans
		if len(spans) == 0 {
			t.Fatalf("%s: nobody answered before the Service went", addr)
		}
		last := spans[len(spans)-1].Last
		t.Logf("%s: last answer %s before the claim was seen to be gone", addr, free.Sub(last))
		if last.After(free) {
			t.Errorf("%s: answered %s after its claim was gone", addr, last.Sub(free))
		}
		if got := w.ask(t, client1, addr); len(got) > 0 {
			t.Errorf("%s: answered by %v although its Service is gone", addr, got)
		}
	}
	if out := w.run(t, client1, "arping", "-c", "2", "-w", "1", "-I", cluster.LANInterface, addrs[0].String()); !strings.Contains(out, "exit status") {
		t.Errorf("arping without an answer does not fail; this test shows nothing:\n%s", out)
	}
}
