// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// local: with externalTrafficPolicy Local the speaker has a pod of the Service, and while
// there is none anywhere nobody begins to speak, and it says so.
func (w *world) local(t *testing.T) {
	w.serve(t, service("local", "selector: {app: local}, externalTrafficPolicy: Local, "+dual))
	w.refusedFor(t, "local", v1alpha1.ReasonNoEligibleNode, "endpoint")
	w.serve(t, deployment("local-a", 1, "node1"))
	a := w.spokenBy(t, "local", "node1", is("node1"))
	w.served(t, a)
	w.serve(t, deployment("local-b", 1, "node3"))
	w.settle(t)
	w.unmoved(t, a)
}

// follow: with externalTrafficPolicy Local, the pods move, and the VIP follows them.
func (w *world) follow(t *testing.T) {
	here, there := deployment("follow-a", 1, "node1"), deployment("follow-b", 1, "node3")
	w.serve(t, here, service("follow", "selector: {app: follow}, externalTrafficPolicy: Local, "+dual))
	a := w.spokenBy(t, "follow", "node1", is("node1"))
	w.serve(t, there)
	w.settle(t)
	watch := w.look(t, 10*time.Millisecond, addresses(t, a), probe.HTTP)
	w.remove(t, here)
	b := w.spokenBy(t, "follow", "node3", is("node3"))
	seen := watch.end(t)
	seen.heard(t, stall)
	seen.succession(t, addresses(t, a), w.mac(t, "node1"), w.mac(t, "node3"))
	w.served(t, b)
}

// served checks that every request is answered by a pod on the speaker's node, which sees
// the client's own address.
func (w *world) served(t *testing.T, a v1alpha1.VIPAnnouncement) {
	t.Helper()
	client, err := w.lab.Host(client1)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addresses(t, a) {
		until(t, 5*time.Second, func() error { // kube-proxy's rules follow the endpoints
			r := w.probe(t, probe.HTTP, addr, 20*time.Millisecond)
			if len(r.Lost) > 0 || len(r.Answers) != 1 {
				return fmt.Errorf("%s; answers %v, errors %v", r, r.Answers, r.Errors)
			}
			for who := range r.Answers {
				if !strings.HasSuffix(who, "node="+a.Status.Node) {
					return fmt.Errorf("%s: answered by %s, want a pod on %s", addr, who, a.Status.Node)
				}
			}
			return nil
		})
		own := client.IPv4.String() + ":"
		url := fmt.Sprintf("http://%s/", addr)
		if addr.Is6() {
			own, url = "["+client.IPv6.String()+"]:", fmt.Sprintf("http://[%s]/", addr)
		}
		if out := w.run(t, client1, "curl", "-sS", "--max-time", "5", url); !holds(out, "client="+own) {
			t.Errorf("the pod sees %q, want the client's address %s", out, own)
		}
	}
}

// refusedFor waits until a Service's announcement says that nobody speaks, why, and until
// an Event says the same.
func (w *world) refusedFor(t *testing.T, service, reason string, words ...string) {
	t.Helper()
	until(t, 20*time.Second, func() error {
		var a v1alpha1.VIPAnnouncement
		if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: service}, &a); err != nil {
			return err
		}
		c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.Announced)
		if c == nil || c.Status != metav1.ConditionFalse || c.Reason != reason || !holds(c.Message, words...) {
			return fmt.Errorf("condition %+v, want False for %s, with %q in its message", c, reason, words)
		}
		if a.Status.Node != "" {
			return fmt.Errorf("%s speaks", a.Status.Node)
		}
		return nil
	})
	w.eventually(t, service, append([]string{reason + ": "}, words...)...)
}

// class: a Service of a foreign class is not touched, one of ours gets an address.
func (w *world) class(t *testing.T) {
	w.serve(t, service("foreign", "loadBalancerClass: example.com/other, "+dual))
	var before, after corev1.Service
	w.get(t, "foreign", &before)
	w.serve(t, service("ours", "loadBalancerClass: "+v1alpha1.LoadBalancerClass+", "+dual))
	w.spoken(t, "ours") // by then it would have come to the other, too
	w.get(t, "foreign", &after)
	if after.ResourceVersion != before.ResourceVersion || len(after.Status.LoadBalancer.Ingress) > 0 || len(after.Finalizers) > 0 {
		t.Errorf("the foreign Service was touched: %+v", after)
	}
	err := w.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "foreign"}, &v1alpha1.VIPAnnouncement{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the foreign Service's announcement: %v, want none", err)
	}
	if got := w.events(t, "foreign"); len(got) > 0 {
		t.Errorf("Events on the foreign Service: %q", got)
	}
}
