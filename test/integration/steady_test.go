// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// versions gives the resourceVersions of all that the manager writes.
func (w *world) versions() map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	for _, list := range []client.ObjectList{&corev1.ServiceList{}, &v1alpha1.VIPPoolList{}, &v1alpha1.VIPAnnouncementList{}, &networkingv1.IPAddressList{}, &coordinationv1.LeaseList{}, &eventsv1.EventList{}} {
		if err := w.client.List(w.t.Context(), list); err != nil {
			w.t.Fatal(err)
		}
		if err := meta.EachListItem(list, func(o runtime.Object) error {
			m, err := meta.Accessor(o)
			if err != nil {
				return err
			}
			if m.GetNamespace() == "kube-system" || strings.HasPrefix(m.GetName(), v1alpha1.NodeLease("")) {
				return nil // the API server's own; the heartbeats of the test
			}
			versions[fmt.Sprintf("%T %s/%s", o, m.GetNamespace(), m.GetName())] = m.GetResourceVersion()
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	return versions
}

// Nothing is written while nothing changes: not by a restart, not by heartbeats, not by
// changes that do not bear on anything.
func TestNothingIsWrittenWithoutAChange(t *testing.T) {
	w := newWorld(t)
	n := w.node("node1", card("eth0", "192.168.1.11/24", "fd00:1::11/64"))
	w.node("node2", card("eth0", "192.168.1.12/24", "fd00:1::12/64"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20", "fd00:1::/64"))
	w.pool("bad", addresses("192.168.1.9-192.168.1.1"))
	stop := w.manager()
	w.service("web", stack(corev1.IPFamilyPolicyPreferDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol))
	w.service("refused", annotated(v1alpha1.AnnotationAddresses, "10.1.1.1"))
	w.shows("web", "fd00:1::1", "192.168.1.10")
	w.announcement("web", announced(unknown, v1alpha1.ReasonPending))
	w.announcement("refused", announced(no, v1alpha1.ReasonAllocationFailed))
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.10", "fd00:1::1")
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if a.Spec.Candidates[0] != "node1" {
			return errors.New("the owner is not first")
		}
		return nil
	})
	w.poolIs("lan", counts(&v1alpha1.AddressCount{Capacity: 11, Allocated: 1, Available: 10}, &v1alpha1.AddressCount{Capacity: 1<<63 - 1, Allocated: 1, Available: 1<<63 - 1}))
	time.Sleep(time.Second)
	before := w.versions()
	unchanged := func(after string) {
		t.Helper()
		time.Sleep(1500 * time.Millisecond)
		now := w.versions()
		for name, v := range now {
			if before[name] != v {
				t.Errorf("%s: %s was written", after, name)
			}
		}
		if len(now) != len(before) {
			t.Errorf("%s: %d objects, before %d", after, len(now), len(before))
		}
	}
	for range 3 {
		stop()
		stop = w.manager()
	}
	unchanged("after restarts")
	for range 5 {
		var l coordinationv1.Lease
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: system, Name: v1alpha1.NodeLease("node1")}, &l); err != nil {
			t.Fatal(err)
		}
		now := metav1.NowMicro()
		l.Spec.RenewTime = &now
		w.update(&l)
	}
	unchanged("after heartbeats")
	n.Annotations = map[string]string{"x": "y"}
	n.Spec.Unschedulable = true
	w.update(n)
	unchanged("after a change of a node that means nothing")
}
