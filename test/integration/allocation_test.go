// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
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
