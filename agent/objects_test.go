// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

func TestAnnouncementDeletedMeansSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		key := w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		w.withdraw(key)
		time.Sleep(100 * time.Millisecond)
		w.speaks("")
		if n := w.nodes["n1"].loop.ports; len(n.open) != 0 {
			t.Errorf("%d ports are open for nothing", len(n.open))
		}
	})
}

// The two streams bring a Service's objects, their deletion and re-creation in any order.
func TestRecreatedInAnyOrder(t *testing.T) {
	type step struct {
		name string
		do   func(w *world)
	}
	name := v1alpha1.ServiceLease("default", "web")
	unLease := step{"-lease", func(w *world) { w.remove(name) }}
	lease := step{"+lease", func(w *world) { w.lease("web") }}
	unAnnounce := step{"-announcement", func(w *world) {
		for key := range w.announcements {
			w.withdraw(key)
		}
	}}
	announce := step{"+announcement", func(w *world) {
		w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.Candidates = []string{"n1", "n2"} })
	}}
	for _, order := range [][]step{
		{unLease, unAnnounce, lease, announce},
		{unLease, unAnnounce, announce, lease},
		{unAnnounce, unLease, announce, lease},
		{unAnnounce, announce, unLease, lease},
		{unLease, lease, unAnnounce, announce},
	} {
		var names []string
		for _, s := range order {
			names = append(names, s.name)
		}
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "n1", "n2")
				key := w.announce("web", "n1", "n2")
				w.until("n1", 5*time.Second)
				for _, s := range order {
					s.do(w)
					time.Sleep(5 * time.Millisecond)
					if got := w.answers(vip4); len(got) > 1 {
						t.Fatalf("after %s %v answer", s.name, got)
					}
				}
				w.until("n1", 5*time.Second)
				time.Sleep(time.Second)
				w.speaks("n1")
				if s := w.status(key); s.Node != "n1" {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// Two announcements name one Lease: that of the Lease's own Service counts, whoever came
// last, and the other's end changes nothing.
func TestTwoAnnouncementsOneLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		other := w.publish("api", func(s *v1alpha1.VIPAnnouncementSpec) {
			s.LeaseName, s.Candidates = v1alpha1.ServiceLease("default", "web"), []string{"n2"}
			s.Addresses = []v1alpha1.AnnouncedAddress{{Address: "192.0.2.241"}}
		})
		time.Sleep(3 * time.Second)
		w.speaks("n1")
		w.withdraw(other)
		time.Sleep(3 * time.Second)
		w.speaks("n1")
	})
}

// An announcement that was made anew while the watch looked away gets its status.
func TestAnnouncementMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		key := w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		w.mu.Lock()
		delete(w.announcements, key)
		w.mu.Unlock()
		w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.Candidates = []string{"n1", "n2"} })
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			w.speaks("n1")
		}
		if s := w.status(key); s.Node != "n1" || len(w.nodes["n1"].notes()) != 1 {
			t.Errorf("status %+v, Events %q", s, w.nodes["n1"].notes())
		}
	})
}

// An announcement gets another Lease: the old one's election ends, the new one's begins.
func TestLeaseNameChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		key := w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		l := w.lease("web")
		l.Name = "shared.default.abc"
		l.Spec.HolderIdentity = nil
		w.write(l)
		w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.LeaseName = l.Name })
		time.Sleep(3 * time.Second)
		if got := w.answers(vip4); len(got) != 1 {
			t.Errorf("%v answer", got)
		}
		if s := w.status(key); s.Node == "" || !strings.HasPrefix(string(s.Epoch), string(w.leases[l.Name].UID)+"/") {
			t.Errorf("status %+v", s)
		}
	})
}

// The cards of nodes that are gone are forgotten; the own facts are written again.
func TestFactsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		time.Sleep(time.Second)
		w.nodes["n2"].kill()
		w.remove(v1alpha1.FactsLease("n2"))
		w.remove(v1alpha1.FactsLease("n1"))
		time.Sleep(time.Second)
		synctest.Wait()
		l := w.nodes["n1"].loop
		if _, ok := l.peers[v1alpha1.FactsLease("n2")]; ok {
			t.Error("n2's facts are still there")
		}
		if w.leases[v1alpha1.FactsLease("n1")] == nil || len(l.reigns) != 0 {
			t.Errorf("own facts not written again, or %d reigns made of facts", len(l.reigns))
		}
	})
}
