// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// has fails the test unless one of the texts holds all the words.
func has(t *testing.T, texts []string, words ...string) {
	t.Helper()
	for _, s := range texts {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) }) {
			return
		}
	}
	t.Errorf("none of %q says %q", texts, words)
}

func TestNewServiceIsSpokenFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		time.Sleep(3 * time.Second)
		key := w.announce("web", "n1", "n2")
		w.until("n1", time.Second)
		time.Sleep(time.Second)
		w.speaks("n1")
		s := w.status(key)
		want := []v1alpha1.SpokenAddress{
			{Address: vip4, Interface: "eth0", MAC: "02:00:00:00:00:01"},
			{Address: vip6, Interface: "eth0", MAC: "02:00:00:00:00:01"},
		}
		if s.Node != "n1" || !slices.Equal(s.Addresses, want) || len(s.History) != 1 || s.Since == nil {
			t.Errorf("status %+v", s)
		}
		if len(s.Conditions) != 1 || s.Conditions[0].Status != metav1.ConditionTrue {
			t.Errorf("conditions %+v", s.Conditions)
		}
		if notes := w.nodes["n1"].notes(); len(notes) != 1 {
			t.Errorf("Events %q, want one", notes)
		}
		has(t, w.nodes["n1"].notes(), "VIPAnnounced: node n1 now speaks for "+vip4+" on eth0 (02:00:00:00:00:01)")
	})
}

// Nothing is written while nothing happens.
func TestIdleWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second) // by then it is told whether others hear it
		synctest.Wait()
		swaps, reports := w.swaps, w.nodes["n1"].reports
		time.Sleep(5 * time.Minute)
		w.speaks("n1") // after it nothing runs
		if w.swaps != swaps || w.nodes["n1"].reports != reports || w.nodes["n2"].reports != 0 {
			t.Errorf("%d swaps and %d reports while idle", w.swaps-swaps, w.nodes["n1"].reports-reports)
		}
		if n := len(w.nodes["n1"].loop.sent); n > 4 {
			t.Errorf("%d heartbeats are remembered", n)
		}
	})
}

// A node that leaves says so first; nothing is lost while it hands over.
func TestLeaveHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		key := w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		done := make(chan struct{})
		go func() {
			shutDown(t.Context(), w.nodes["n1"].loop, w.nodes["n1"], logr.Discard())
			close(done)
		}()
		for left := false; !left; {
			select {
			case <-done:
				left = true
			case <-time.After(time.Millisecond):
			}
			if got := w.answers(vip4); len(got) != 1 {
				t.Fatalf("%v answer during the handover", got)
			}
		}
		w.nodes["n1"].kill()
		time.Sleep(time.Second)
		w.speaks("n2")
		if s := w.status(key); s.Node != "n2" || s.History[0].From != "n1" {
			t.Errorf("status %+v", s)
		}
		has(t, w.nodes["n1"].notes(), "VIPHandedOver: node n1 handed "+vip4+", "+vip6+" over to n2: the node's agent shuts down")
		has(t, w.nodes["n2"].notes(), "handed over by n1")
	})
}

// Everybody gets SIGTERM: nobody hands to a node that leaves.
func TestNobodyHandsToWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		_ = w.nodes["n2"].Leave(t.Context())
		time.Sleep(3 * time.Second)
		shutDown(t.Context(), w.nodes["n1"].loop, w.nodes["n1"], logr.Discard())
		time.Sleep(time.Second)
		w.speaks("n3")
	})
}

// Somebody else's write between the election's look and its own is not undone, and does
// not stop it.
func TestSwapKeepsWhatOthersWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		for i := range 50 {
			synctest.Wait()
			l := w.leases[v1alpha1.ServiceLease("default", "web")].DeepCopy()
			l.Annotations["note"] = strings.Repeat("x", i)
			w.write(l)
			if i == 20 {
				w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.MoveTo = "n2" })
			}
			time.Sleep(3 * time.Millisecond)
		}
		w.until("n2", 3*time.Second)
		if n := len(w.leases[v1alpha1.ServiceLease("default", "web")].Annotations["note"]); n != 49 {
			t.Errorf("the annotation is of write %d, want 49", n)
		}
	})
}

// A panic costs one VIP its voice, until its objects change or a while has passed.
func TestPanicCostsOneVIP(t *testing.T) {
	const other = "192.0.2.241"
	for name, mend := range map[string]func(w *world){
		"objects change": func(w *world) {
			for _, name := range []string{"web", "api"} {
				w.publish(name, func(s *v1alpha1.VIPAnnouncementSpec) { s.Candidates = []string{"n1", "n2"} })
			}
		},
		"a while passes": func(*world) { time.Sleep(skipFor) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "n1")
				w.announce("web", "n1")
				w.lease("api")
				w.publish("api", func(s *v1alpha1.VIPAnnouncementSpec) {
					s.Candidates, s.Addresses = []string{"n1"}, []v1alpha1.AnnouncedAddress{{Address: other}}
				})
				w.until("n1", 5*time.Second)
				time.Sleep(time.Second)
				w.nodes["n1"].poison()
				eth0 := w.nodes["n1"].eth0()
				eth0.MAC[4] = 1
				w.nodes["n1"].link(eth0) // is reported for both
				time.Sleep(time.Second)
				if got := len(w.answers(vip4)) + len(w.answers(other)); got != 1 {
					t.Errorf("%d of two VIPs answer, want one", got)
				}
				has(t, w.nodes["n1"].notes(), "VIPWithdrawn", "failed on this object")
				mend(w)
				time.Sleep(3 * time.Second)
				if got := len(w.answers(vip4)) + len(w.answers(other)); got != 2 {
					t.Errorf("%d of two VIPs answer afterwards", got)
				}
			})
		})
	}
}

// Voices without a mark, of another cluster, or of the own card are not heard.
func TestForeignVoicesAreIgnored(t *testing.T) {
	addr := netip.MustParseAddr(vip4)
	sound := func(change func(*wire.Heard)) wire.Heard {
		h := wire.Heard{Heard: neighbor.Heard{
			Sound: neighbor.HeardAnswer, Addr: addr, MAC: neighbor.MAC{2, 9}, Marked: true, Mark: neighbor.Mark{Transitions: 99},
		}}
		change(&h)
		return h
	}
	for name, h := range map[string]wire.Heard{
		"unmarked":    sound(func(h *wire.Heard) { h.Marked = false }),
		"question":    sound(func(h *wire.Heard) { h.Sound = neighbor.HeardQuestion }),
		"own card":    sound(func(h *wire.Heard) { h.MAC = neighbor.MAC{2, 0, 0, 0, 0, 1} }),
		"other VIP":   sound(func(h *wire.Heard) { h.Addr = netip.MustParseAddr("192.0.2.9") }),
		"other Lease": sound(func(h *wire.Heard) { h.Mark.LeaseUID = [16]byte{1} }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "n1", "n2")
				w.announce("web", "n1", "n2")
				w.until("n1", 5*time.Second)
				time.Sleep(time.Second)
				w.nodes["n1"].loop.sounds <- h
				time.Sleep(100 * time.Millisecond)
				w.speaks("n1")
			})
		})
	}
	t.Run("a later epoch's voice ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "n1", "n2")
			w.announce("web", "n1", "n2")
			w.until("n1", 5*time.Second)
			time.Sleep(time.Second)
			uid := string(w.leases[v1alpha1.ServiceLease("default", "web")].UID)
			w.nodes["n1"].loop.sounds <- sound(func(h *wire.Heard) {
				h.Mark.LeaseUID, h.At = newReign("").leaseID(uid), w.segment.Clock()
			})
			time.Sleep(10 * time.Millisecond)
			w.speaks("")
		})
	})
}

// No election decides anything while much of what others said waits to be heard: it might have been
// contradicted. Not for long, though.
func TestWhatWasSaidIsHeardFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		waits int
		after time.Duration
		want  bool
	}{
		"nothing waits":               {0, time.Millisecond, true},
		"some waits":                  {batch - 1, time.Millisecond, true},
		"much waits":                  {batch, time.Millisecond, false},
		"much has waited for so long": {batch, patience, true},
	} {
		s := newStage(t, 0, 1)
		r := s.reign("svc.default.web")
		due := s.clock
		r.skipped = &due // to be started again
		s.wakes.set(r)
		for range tc.waits {
			s.sounds <- wire.Heard{}
		}
		s.stepped = s.clock
		s.clock += tc.after
		s.turn()
		if got := r.skipped == nil; got != tc.want {
			t.Errorf("%s: decided %v, want %v", name, got, tc.want)
		}
	}
}
