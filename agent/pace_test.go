// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// slowLeases takes a second for each write, and counts how many are under way.
type slowLeases struct {
	leases

	mu             sync.Mutex // guards what follows
	now, most, all int
}

func (s *slowLeases) Swap(ctx context.Context, _ *coordinationv1.Lease, _ string, _ int32) (*coordinationv1.Lease, error) {
	s.count(1)
	defer s.count(-1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return nil, errors.New("as slow as it can be")
}

func (s *slowLeases) count(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.all = s.now+by, s.all+max(by, 0)
	s.most = max(s.most, s.now)
}

// Of a thousand Leases that are to be written at once, some are at a time; and an agent that ends
// does not wait for the rest.
func TestLeasesAreWrittenSomeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowLeases{}
		l := newLoop(election.Defaults("n1"), store, Options{Node: "n1"})
		ctx, end := context.WithCancel(t.Context())
		var ended atomic.Int32
		for range 1000 {
			l.calls.Go(func() {
				_, _ = l.swapOne(ctx, &coordinationv1.Lease{}, election.Swap{}, nil)
				ended.Add(1)
			})
		}
		synctest.Wait()
		if store.most != maxWrites || store.all != maxWrites {
			t.Errorf("%d writes under way, want %d", store.most, maxWrites)
		}
		end()
		l.calls.Wait()
		if store.all != maxWrites || ended.Load() != 1000 {
			t.Errorf("%d writes begun, %d calls ended; want no new one after the end, and all ended", store.all, ended.Load())
		}
	})
}

// A write that waits for its turn is given up once another node has written the Lease, or was heard
// to speak; nothing is read for it.
func TestWritesThatAreOvertakenAreNotSent(t *testing.T) {
	for name, overtake := range map[string]func(o *one, r *reign){
		"written by another": func(o *one, _ *reign) { o.take(leaseChanged{name: "svc.default.web", lease: version("a", "2")}) },
		"given up":           func(_ *one, r *reign) { r.overtake() },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOne(t)
			o.take(leaseChanged{name: "svc.default.web", lease: version("a", "1")})
			r := o.reigns["svc.default.web"]
			for range maxWrites {
				o.pace.slots <- struct{}{}
			}
			o.swap(r, election.Swap{Attempt: 1, Lease: election.Lease{UID: "a", ResourceVersion: "1"}, Holder: "n1"})
			overtake(o, r)
			got := o.answers()
			if len(got) != 1 || got[0].event != (election.SwapDone{Attempt: 1, Unsent: true}) || o.wrote != nil {
				t.Errorf("got %+v, wrote over %+v", got, o.wrote)
			}
		})
	}
}

// claiming counts the claims for single cards.
type claiming struct {
	port
	claims []netip.Addr
}

func (c *claiming) ClaimTo(addr netip.Addr, _ neighbor.MAC) int {
	c.claims = append(c.claims, addr)
	return 1
}

// Thousands of claims go out turn by turn, in their order, and none is lost.
func TestClaimsGoOutInBatches(t *testing.T) {
	l := newLoop(election.Defaults("n1"), nil, Options{Node: "n1"})
	p := &claiming{}
	l.ports.open["eth0"] = &openPort{port: p}
	const all = 3*claimBatch + 1
	for i := range all {
		l.claims = append(l.claims, claimTo{name: "eth0", addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	}
	for turn := 1; l.claim(); turn++ {
		if len(p.claims) != turn*claimBatch {
			t.Fatalf("%d claims after %d turns", len(p.claims), turn)
		}
	}
	for i, addr := range p.claims {
		if addr != netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) {
			t.Fatalf("claim %d is for %v", i, addr)
		}
	}
	if len(p.claims) != all {
		t.Errorf("%d claims, want %d", len(p.claims), all)
	}
}
