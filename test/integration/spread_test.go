// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// firsts counts the first candidates of all announcements of the test, and the first
// standbys of each of them.
func (w *world) firsts(ctx context.Context) (first map[string]int, next map[string]map[string]int, err error) {
	var list v1alpha1.VIPAnnouncementList
	if err := w.client.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return nil, nil, err
	}
	first, next = map[string]int{}, map[string]map[string]int{}
	for _, a := range list.Items {
		c := a.Spec.Candidates
		if len(c) == 0 {
			continue
		}
		first[c[0]]++
		if next[c[0]] == nil {
			next[c[0]] = map[string]int{}
		}
		if len(c) > 1 {
			next[c[0]][c[1]]++
		}
	}
	return first, next, nil
}

// stand waits until so many announcements have candidates, the first of them within
// bounds, those of some nodes left out.
func (w *world) stand(total, least, most int) {
	w.t.Helper()
	w.eventuallyWithin(2*patience, func(ctx context.Context) error {
		first, _, err := w.firsts(ctx)
		if err != nil {
			return err
		}
		sum := 0
		for n, f := range first {
			sum += f
			if f < least || f > most {
				return fmt.Errorf("%s is first %d times, want %d to %d: %v", n, f, least, most, first)
			}
		}
		if sum != total {
			return fmt.Errorf("%d announcements have candidates, want %d", sum, total)
		}
		return nil
	})
}

// services makes many Services at once.
func (w *world) services(prefix string, n int) {
	w.t.Helper()
	var wg sync.WaitGroup
	work := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range work {
				s := &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("%s-%d", prefix, i)},
					Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
				}
				if err := w.client.Create(w.t.Context(), s); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
}

// take makes the first candidates hold the Leases, as their agents would.
func (w *world) take() {
	w.t.Helper()
	var list v1alpha1.VIPAnnouncementList
	if err := w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	for _, a := range list.Items {
		if l := w.lease(a.Name); l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != a.Spec.Candidates[0] {
			w.hold(a.Name, a.Spec.Candidates[0])
		}
	}
}

// 300 Services that come at once stand on three nodes, 100 each; a restart of the manager
// changes none of it; a node that comes gets what is new, one that goes is replaced by all
// others.
func TestSpreadOf300(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.node(fmt.Sprintf("node%d", i+1), card("eth0", fmt.Sprintf("192.168.1.%d/16", i+1)))
	}
	w.pool("lan", addresses("192.168.8.0/21"))
	stop := w.manager()
	w.services("web", 300)
	began := time.Now()
	w.stand(300, 100, 100)
	t.Logf("300 Services stand %v after the last was created", time.Since(began))
	_, next, err := w.firsts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first standbys: %v", next)
	for first, standbys := range next {
		for standby, n := range standbys {
			if n < 48 || n > 52 {
				t.Errorf("%s is the first standby of %d of the Services of %s", standby, n, first)
			}
		}
	}
	w.take()
	stop()

	before := w.candidatesOf()
	stop = w.manager()
	w.pool("other", addresses("10.20.0.1")) // all announcements are looked at again
	w.services("more", 30)
	w.stand(330, 110, 110)
	after := w.candidatesOf()
	changed := 0
	for name, c := range before {
		if c[0] != after[name][0] {
			t.Errorf("%s moves from %s to %s", name, c[0], after[name][0])
		}
		if !slices.Equal(c, after[name]) {
			changed++
		}
	}
	t.Logf("%d of %d lists of candidates changed in their standbys", changed, len(before))
	if changed > 15 {
		t.Errorf("%d lists changed by a restart and 30 Services more", changed)
	}
	w.take()

	w.node("node4", card("eth0", "192.168.1.4/16"))
	w.services("late", 30)
	w.eventuallyWithin(2*patience, func(ctx context.Context) error {
		first, _, err := w.firsts(ctx)
		if want := map[string]int{"node1": 110, "node2": 110, "node3": 110, "node4": 30}; err == nil && !maps.Equal(first, want) {
			err = fmt.Errorf("%v, want %v", first, want)
		}
		return err
	})
	w.take()

	var n corev1.Node
	if err := w.client.Get(t.Context(), types.NamespacedName{Name: "node2"}, &n); err != nil {
		t.Fatal(err)
	}
	n.Annotations = map[string]string{v1alpha1.AnnotationDrain: "new kernel"}
	w.update(&n)
	w.eventuallyWithin(2*patience, func(ctx context.Context) error {
		first, _, err := w.firsts(ctx)
		if err == nil && (first["node2"] != 0 || first["node1"]+first["node3"]+first["node4"] != 360) {
			err = fmt.Errorf("%v", first)
		}
		return err
	})
	first, _, err := w.firsts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("after the drain of node2: %v", first)
	if first["node4"] < 119 || first["node1"] > 121 || first["node3"] > 121 {
		t.Errorf("the VIPs of node2 do not go where there are fewest: %v", first)
	}
	a := w.announcement("web-0", func(a *v1alpha1.VIPAnnouncement) error {
		if got, want := a.Spec.Excluded["node2"], `annotation arpeggio.dev/drain is "new kernel"`; got != want {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	if l := w.lease("web-0"); slices.Contains(a.Spec.Candidates, "node2") || l == nil {
		t.Errorf("%v", a.Spec.Candidates)
	}
	stop()
}

// candidatesOf gives the candidates of all announcements of the test.
func (w *world) candidatesOf() map[string][]string {
	w.t.Helper()
	var list v1alpha1.VIPAnnouncementList
	if err := w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	out := map[string][]string{}
	for _, a := range list.Items {
		out[a.Name] = a.Spec.Candidates
	}
	return out
}

// A cordon keeps new VIPs away and moves none; standbys stand in other zones.
func TestCordonAndZones(t *testing.T) {
	w := newWorld(t)
	zones := map[string]string{"node1": "a", "node2": "a", "node3": "b", "node4": "c"}
	var cordoned *corev1.Node
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zones[name]}}}
		w.create(n)
		w.facts(name, card("eth0", "192.168.1.11/24"))
		cordoned = n
	}
	w.pool("lan", addresses("192.168.1.100-192.168.1.250"))
	w.manager()
	w.services("web", 8)
	w.stand(8, 2, 2)
	w.take()
	var last map[string][]string
	w.eventually(func(context.Context) error {
		was := last
		if last = w.candidatesOf(); !maps.EqualFunc(last, was, slices.Equal) {
			time.Sleep(300 * time.Millisecond) // until two looks see the same
			return errors.New("the lists have not come to rest")
		}
		for name, c := range last {
			if l := w.lease(name); l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != c[0] {
				return fmt.Errorf("%s: %v", name, c)
			}
			if zones[c[0]] == zones[c[1]] || zones[c[0]] == zones[c[2]] || zones[c[1]] == zones[c[2]] {
				return fmt.Errorf("%s: %v stand in one zone", name, c)
			}
		}
		return nil
	})
	before := w.candidatesOf()
	cordoned.Spec.Unschedulable = true
	w.update(cordoned)
	for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if now := w.candidatesOf(); !maps.EqualFunc(now, before, slices.Equal) {
			t.Fatalf("the cordon changes %v to %v", before, now)
		}
	}
	w.services("new", 6)
	w.eventually(func(context.Context) error {
		all := w.candidatesOf()
		for i := range 6 {
			if c := all[fmt.Sprint("new-", i)]; len(c) != 4 {
				return fmt.Errorf("new-%d: %v", i, c)
			} else if c[0] == cordoned.Name {
				return errors.New("a new VIP stands on the cordoned node")
			}
		}
		for name, c := range before {
			if all[name][0] != c[0] {
				return fmt.Errorf("%s moves from %s to %s", name, c[0], all[name][0])
			}
		}
		return nil
	})
}
