// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lock"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// A watch that begins again brings the facts of all nodes: nothing is found anew for it, and
// for many that are new, once.
func TestFactsAreFoundOnceATurn(t *testing.T) {
	l := newLoop(election.Defaults("n1"), nil, Options{Node: "n1", Log: logr.Discard()})
	t.Cleanup(l.ports.close)
	l.ctx = t.Context()
	facts := func(node, mac string) leaseChanged {
		f := v1alpha1.Facts{Interfaces: []v1alpha1.InterfaceFacts{{Name: "eth0", MAC: mac}}}
		text, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return leaseChanged{name: v1alpha1.FactsLease(node), lease: &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchFacts},
				Annotations: map[string]string{v1alpha1.AnnotationFacts: text},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &node},
		}}
	}
	for _, tc := range []struct {
		what string
		mac  string
		want int
	}{{"new", "02:00:00:00:00:02", 1}, {"the same", "02:00:00:00:00:02", 1}, {"another card", "02:00:00:00:00:03", 2}} {
		l.take(facts("n2", tc.mac))
		l.take(facts("n3", "02:00:00:00:01:03"))
		l.turn()
		if l.cards != tc.want || len(l.nodeOf) != 2 {
			t.Errorf("%s: found %d times, %d cards", tc.what, l.cards, len(l.nodeOf))
		}
	}
}

// What the API server has listed is confirmed, also while it waits to be taken.
func TestRecalledIsForgottenOnlyAfterTheLists(t *testing.T) {
	l := newLoop(election.Defaults("n1"), nil, Options{Node: "n1", Log: logr.Discard()})
	l.shadow = true
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	change := announcementChanged{key: key, announcement: &v1alpha1.VIPAnnouncement{
		Spec: v1alpha1.VIPAnnouncementSpec{LeaseName: v1alpha1.ServiceLease("default", "web")},
	}}
	l.setAnnouncement(change)
	l.memory = recollection{used: true, synced: func() bool { return true }, announcements: map[types.NamespacedName]bool{key: true}}
	l.in <- change
	l.recall(1)
	if len(l.leaseOf) != 1 {
		t.Fatal("forgotten before the list was taken")
	}
	l.take(<-l.in)
	if l.recall(2); len(l.leaseOf) != 1 || l.memory.synced != nil {
		t.Errorf("%d announcements are known, memory %+v", len(l.leaseOf), l.memory)
	}
}

// A voice that stood still is not handed on: others may have taken over meanwhile.
func TestInterruptedVoiceIsNotBequeathed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(time.Second)
		first, second := make(chan lock.Inheritance), make(chan lock.Inheritance, 1)
		l := w.nodes["n1"].loop
		l.put(bequest{first}) // holds the loop up
		l.put(bequest{second})
		time.Sleep(300 * time.Millisecond)
		if i := <-first; len(i.Voices) != 1 {
			t.Errorf("leaves %d voices, want 1", len(i.Voices))
		}
		if i := <-second; len(i.Voices) != 0 {
			t.Errorf("leaves %d voices after a pause, want none", len(i.Voices))
		}
	})
}
