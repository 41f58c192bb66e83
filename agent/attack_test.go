// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"strconv"
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

// While two Leases have one address, because a deletion waits to be believed, the voice by
// the one is heard by the election for the other.
func TestOneAddressTwoLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		old := w.announce("old", "n1", "n2")
		for i := range 4 { // enough for deletions to wait
			w.lease("x" + strconv.Itoa(i))
			w.publish("x"+strconv.Itoa(i), func(s *v1alpha1.VIPAnnouncementSpec) {
				s.Candidates, s.Addresses = []string{"n1"}, []v1alpha1.AnnouncedAddress{{Address: "192.0.2.20" + strconv.Itoa(i)}}
			})
		}
		w.until("n1", 5*time.Second)
		time.Sleep(5 * time.Second)
		w.withdraw(old)
		w.remove(v1alpha1.ServiceLease("default", "old"))
		w.announce("renamed", "n2", "n1")
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			if got := w.answers(vip4); len(got) > 1 {
				t.Fatalf("%v answer", got)
			}
		}
		if got := w.answers(vip4); len(got) != 1 {
			t.Errorf("%v answer in the end", got)
		}
	})
}

// Who is heard goes on being heard when a Lease goes to another node.
func TestStandbysReadNoHeartbeatOfWhomTheyHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		w.announce("web", "n1", "n2", "n3")
		w.lease("api")
		w.publish("api", func(s *v1alpha1.VIPAnnouncementSpec) {
			s.Candidates, s.Addresses = []string{"n2", "n1", "n3"}, []v1alpha1.AnnouncedAddress{{Address: "192.0.2.241"}}
		})
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.publish("api", func(s *v1alpha1.VIPAnnouncementSpec) { s.MoveTo = "n1" })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if h := w.holder("api"); h != "n1" {
			t.Fatalf("%q has it, want n1", h)
		}
		for _, n := range []string{"n2", "n3"} {
			if b := w.nodes[n].loop.beats; len(b) != 0 {
				t.Errorf("%s reads %d heartbeats, want none", n, len(b))
			}
		}
	})
}

// A port that was down for a moment may have missed its successor's voice: cut off from the
// API, its node asks before it speaks on.
func TestPortThatComesBackAsksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(20 * time.Second)
		w.nodes["n1"].cutAPI()
		w.nodes["n1"].failPorts(errors.New("network is down"))
		w.until("n2", 600*time.Millisecond)
		w.nodes["n1"].failPorts(nil)
		for range 300 {
			time.Sleep(time.Millisecond)
			if got := w.answers(vip4); len(got) > 1 {
				t.Fatalf("%v answer", got)
			}
		}
		w.speaks("n2")
	})
}
