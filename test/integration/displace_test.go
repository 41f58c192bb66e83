// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// lasts sets for how long the heartbeats of nodes hold good.
func (w *world) lasts(seconds int32, nodes ...string) {
	w.t.Helper()
	for _, n := range nodes {
		w.eventually(func(ctx context.Context) error {
			var l coordinationv1.Lease
			if err := w.client.Get(ctx, types.NamespacedName{Namespace: system, Name: v1alpha1.NodeLease(n)}, &l); err != nil {
				return err
			}
			l.Spec.LeaseDurationSeconds = &seconds
			return w.client.Update(ctx, &l)
		})
	}
}

// beats waits for some more heartbeats of a node.
func (w *world) beats(node string, n int) {
	w.t.Helper()
	last := ""
	w.eventually(func(ctx context.Context) error {
		var l coordinationv1.Lease
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: system, Name: v1alpha1.NodeLease(node)}, &l); err != nil {
			return err
		}
		if l.ResourceVersion != last {
			last = l.ResourceVersion
			n--
		}
		if n >= 0 { // the first one seen is old
			return fmt.Errorf("%d more heartbeats of %s are to come", n+1, node)
		}
		return nil
	})
}

// slice makes an EndpointSlice of a Service, with an endpoint for each node; an empty name
// is none.
func (w *world) slice(service string, nodes ...string) *discoveryv1.EndpointSlice {
	w.t.Helper()
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: w.namespace, Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   ends(nodes...),
	}
	w.create(s)
	return s
}

// ends are ready endpoints on nodes.
func ends(nodes ...string) []discoveryv1.Endpoint {
	list := []discoveryv1.Endpoint{}
	for i, n := range nodes {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.1.1.%d", i+1)}}
		if n != "" {
			e.NodeName = &n
		}
		list = append(list, e)
	}
	return list
}

// A speaker that is not heard any more may be replaced, although it answers, when the
// endpoints have changed since; not before, and not for longer than its epoch.
func TestDisplace(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"node1", "node2", "node3", "node4", "node5"} {
		w.node(n, card("eth0", "192.168.1.11/24"))
	}
	w.lasts(3, "node1", "node2")
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web")
	slice := w.slice("web", "node1", "node2")
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Spec.Candidates) != 5 || a.Spec.Candidates[0] != "node1" || a.Spec.Displace != "" {
			return fmt.Errorf("%+v", a.Spec)
		}
		return nil
	})
	epoch := func() v1alpha1.Epoch {
		l := w.lease("web")
		return v1alpha1.NewEpoch(string(l.UID), *l.Spec.LeaseTransitions)
	}
	displaces := func(want v1alpha1.Epoch) func(*v1alpha1.VIPAnnouncement) error {
		return func(a *v1alpha1.VIPAnnouncement) error {
			if a.Spec.Displace != want {
				return fmt.Errorf("displace %q, want %q", a.Spec.Displace, want)
			}
			return nil
		}
	}
	slice.Endpoints = ends("node2") // while it is heard, this is its own business
	w.update(slice)
	w.beats("node1", 2)

	w.silence(true, "node1")
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		w.announcement("web", displaces(""))
	}
	slice.Endpoints = ends("node2", "node3")
	w.update(slice)
	first := epoch()
	a := w.announcement("web", displaces(first))
	if a.Spec.Candidates[0] != "node1" || len(a.Spec.Excluded) != 0 {
		t.Errorf("%+v", a.Spec)
	}
	w.event("web", v1alpha1.EventVIPDisplaced, "node1", "endpoints of the Service changed")
	w.hold("web", "node2")
	w.speaks("web", "node2", "192.168.1.240")
	w.announcement("web", displaces("")) // that epoch is over

	w.silence(true, "node2")
	time.Sleep(4 * time.Second)
	slice.Endpoints = ends("node1")
	w.update(slice)
	if second := epoch(); second == first {
		t.Fatal("the test has one epoch")
	} else {
		w.announcement("web", displaces(second))
	}
	w.silence(false, "node2")
	w.announcement("web", displaces("")) // it is heard again
	if n := len(w.events("web", v1alpha1.EventVIPDisplaced)); n != 2 {
		t.Errorf("%d Events", n)
	}
}
