// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// serveFive has two nodes speak for five Services; it gives their addresses and announcements.
func serveFive(t *testing.T) (w *world, addrs []string, keys []types.NamespacedName) {
	t.Helper()
	w = newWorld(t, "n1", "n2")
	for i := range 5 {
		name, addr := fmt.Sprintf("web%d", i), fmt.Sprintf("192.0.2.%d", 200+i)
		w.lease(name)
		keys = append(keys, w.publish(name, func(s *v1alpha1.VIPAnnouncementSpec) {
			s.Candidates, s.Addresses = []string{"n1", "n2"}, []v1alpha1.AnnouncedAddress{{Address: addr}}
		}))
		addrs = append(addrs, addr)
	}
	time.Sleep(5 * time.Second)
	if n := answered(w, addrs); n != 5 {
		t.Fatalf("%d of 5 addresses are answered", n)
	}
	return w, addrs, keys
}

func answered(w *world, addrs []string) int {
	n := 0
	for _, a := range addrs {
		n += len(w.answers(a))
	}
	return n
}

// Everything vanishes at once: the voices go on for a minute, in case it comes back.
func TestVanishing(t *testing.T) {
	for name, tc := range map[string]struct {
		gone       int
		soon, last int // that are answered after 10 s, and after 70 s
	}{
		"one":            {1, 4, 4},
		"three of five":  {3, 2, 2},
		"more than half": {4, 5, 1},
		"all":            {5, 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, addrs, keys := serveFive(t)
				for _, key := range keys[:tc.gone] {
					w.withdraw(key)
				}
				time.Sleep(10 * time.Second)
				if n := answered(w, addrs); n != tc.soon {
					t.Errorf("%d are answered after 10 s, want %d", n, tc.soon)
				}
				time.Sleep(60 * time.Second)
				if n := answered(w, addrs); n != tc.last {
					t.Errorf("%d are answered after 70 s, want %d", n, tc.last)
				}
			})
		})
	}
}

// What comes back was never away; and an address that another Service has by now was not lost
// by mistake.
func TestVanishedComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, addrs, keys := serveFive(t)
		for _, key := range keys {
			w.withdraw(key)
		}
		time.Sleep(20 * time.Second)
		w.publish("web1", func(s *v1alpha1.VIPAnnouncementSpec) {
			s.Candidates, s.Addresses = []string{"n1", "n2"}, []v1alpha1.AnnouncedAddress{{Address: addrs[1]}}
		})
		time.Sleep(5 * time.Second)
		if n := answered(w, addrs); n != 5 {
			t.Errorf("%d of 5 are answered while the others may come back", n)
		}
		w.lease("other")
		w.publish("other", func(s *v1alpha1.VIPAnnouncementSpec) {
			s.Candidates, s.Addresses = []string{"n2"}, []v1alpha1.AnnouncedAddress{{Address: addrs[0]}}
		})
		time.Sleep(5 * time.Second)
		if got := w.answers(addrs[0]); len(got) != 1 || got[0] != "n2" {
			t.Errorf("%v answer for the address of another Service, want n2", got)
		}
		if n := answered(w, addrs[1:]); n != 1 || len(w.answers(addrs[1])) != 1 {
			t.Errorf("%d of the others are answered, want the one that came back", n)
		}
	})
}
