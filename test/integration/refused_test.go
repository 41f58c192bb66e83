// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// refuses adds to the facts of a node what its agent found to carry no VIP.
func (w *world) refuses(node string, refused ...v1alpha1.RefusedInterface) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var l coordinationv1.Lease
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: system, Name: v1alpha1.FactsLease(node)}, &l); err != nil {
			return err
		}
		facts, err := v1alpha1.ParseFacts(l.Annotations[v1alpha1.AnnotationFacts])
		if err != nil {
			return err
		}
		facts.Refused = refused
		if l.Annotations[v1alpha1.AnnotationFacts], err = facts.Encode(); err != nil {
			return err
		}
		return w.client.Update(ctx, &l)
	})
}

// A pool names an interface that cannot carry a VIP: the announcement says so, and what to name
// instead, which helps.
func TestNamedInterfaceIsRefused(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.node("node2", card("bond0", "192.168.1.12/24"))
	w.refuses("node1", v1alpha1.RefusedInterface{Name: "kube-ipvs0", Why: "is a dummy"})
	w.refuses("node2", v1alpha1.RefusedInterface{Name: "eth1", Why: "is a port of bond0: name bond0 instead"}, v1alpha1.RefusedInterface{Name: "kube-ipvs0", Why: "is a dummy"})
	p := w.pool("lan", lan(v1alpha1.AnnouncementPolicy{Interfaces: []v1alpha1.InterfacePattern{"eth1"}}))
	w.manager()
	w.service("web")
	why := `no node may speak for 192.168.1.240: node1: no interface matches "eth1" (has eth0); node2: eth1 is a port of bond0: name bond0 instead`
	a := w.announcement("web", both(candidates(), announced(no, v1alpha1.ReasonNoEligibleNode, why)))
	for _, c := range a.Status.Conditions {
		if c.Type == v1alpha1.Announced && c.Message != why {
			t.Errorf("it says %q", c.Message)
		}
	}
	w.event("web", v1alpha1.ReasonNoEligibleNode, why)

	// The agent finds another reason: that is told.
	w.refuses("node2", v1alpha1.RefusedInterface{Name: "eth1", Why: "is down: set it up"})
	w.announcement("web", announced(no, v1alpha1.ReasonNoEligibleNode, "node2: eth1 is down: set it up"))

	p = w.reread(p)
	p.Spec.Announcements[0].Interfaces[0] = "bond0"
	w.update(p)
	w.announcement("web", both(candidates("node2"), announced(unknown, v1alpha1.ReasonPending)))
}
