// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// lose deletes the facts of nodes.
func (w *world) lose(nodes ...string) {
	w.t.Helper()
	for _, n := range nodes {
		w.delete(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: v1alpha1.FactsLease(n)}})
	}
}

// doubts waits until the Events on the Namespace of the installation are so many.
func (w *world) doubts(doubted, believed int) {
	w.t.Helper()
	w.eventually(func(context.Context) error {
		d, b := w.eventsIn(metav1.NamespaceDefault, system, v1alpha1.EventViewDoubted), w.eventsIn(metav1.NamespaceDefault, system, v1alpha1.EventViewBelieved)
		if len(d) != doubted || len(b) != believed {
			return fmt.Errorf("%d doubts %q, %d beliefs %q; want %d, %d", len(d), d, len(b), b, doubted, believed)
		}
		return nil
	})
}

// A manager that loses most of the nodes from view writes nothing, and goes on when they
// are back. The loss of one node of three is believed.
func TestBlindManagerStops(t *testing.T) {
	w := newWorld(t)
	seen := func() (doubted, believed int) {
		return len(w.eventsIn(metav1.NamespaceDefault, system, v1alpha1.EventViewDoubted)), len(w.eventsIn(metav1.NamespaceDefault, system, v1alpha1.EventViewBelieved))
	}
	d, b := seen() // of tests before
	eth0 := card("eth0", "192.168.1.11/24")
	nodes := []string{"node1", "node2", "node3"}
	for _, n := range nodes {
		w.node(n, eth0)
	}
	w.pool("lan", addresses("192.168.1.100-192.168.1.250"))
	w.manager()
	w.services("web", 6)
	w.stand(6, 2, 2)
	before := w.candidatesOf()
	unchanged := func(what string) {
		t.Helper()
		for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
			if now := w.candidatesOf(); !maps.EqualFunc(now, before, slices.Equal) {
				t.Fatalf("%s: %v, before %v", what, now, before)
			}
		}
	}

	w.lose("node1", "node2")
	w.doubts(d+1, b)
	before = w.candidatesOf() // the loss of the first one alone may have been believed
	for name, c := range before {
		if len(c) < 2 {
			t.Errorf("%s: %v", name, c)
		}
	}
	w.service("new") // gets its address, and waits
	w.shows("new", "192.168.1.106")
	unchanged("facts are lost")
	for _, n := range nodes[:2] {
		w.tell(n, eth0)
	}
	w.doubts(d+1, b+1)
	w.announcement("new", candidates(nodes...))
	before = w.candidatesOf()

	// All heartbeats stop: it is the manager that does not hear.
	w.silence(true, nodes...)
	w.doubts(d+2, b+1)
	unchanged("nothing is heard")
	w.silence(false, nodes...)
	w.doubts(d+2, b+2)

	w.lose("node3")
	for name := range before {
		w.announcement(name, candidates("node1", "node2"))
	}
	w.doubts(d+2, b+2)
}
