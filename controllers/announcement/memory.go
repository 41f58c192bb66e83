// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
	"github.com/arpeggio-lb/arpeggio/controllers/sight"
)

// memory is what the workers of the reconciler share: one decision sees what all others
// have decided, although the cache does not yet.
type memory struct {
	began time.Time

	mu      sync.Mutex // guards all below
	full    bool       // what was there at the start is known
	spread  *placement.Spread
	sight   *sight.Sight
	prints  map[string]fingerprint // of the endpoints, by the key of the Service
	overdue map[string]bool        // owners whose heartbeat was overdue at the last look
}

// fingerprint is what the endpoints of a Service looked like last, and when that changed.
type fingerprint struct {
	of      uint64
	changed time.Duration
	known   bool // it has changed at all
}

func newMemory() *memory {
	return &memory{
		began: time.Now(), spread: placement.NewSpread(), sight: sight.New(),
		prints: map[string]fingerprint{}, overdue: map[string]bool{},
	}
}

// now is the time on the clock of the memory.
func (m *memory) now() time.Duration { return time.Since(m.began) }

// at is a time on that clock.
func (m *memory) at(t time.Time) time.Duration { return t.Sub(m.began) }

// forget forgets a Service.
func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spread.Forget(nameOf(key))
	m.sight.Forget(nameOf(key))
	delete(m.prints, nameOf(key))
}

// changed notes what the endpoints of a Service look like, and tells when that changed.
func (m *memory) changed(key string, of uint64) fingerprint {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, seen := m.prints[key]
	if seen && p.of != of {
		p.changed, p.known = m.now(), true
	}
	p.of = of
	m.prints[key] = p
	return p
}

// nameOf is the key of a Service in the pure cores.
func nameOf(key types.NamespacedName) string { return key.Namespace + "/" + key.Name }

// recall learns, before the first decision, what was decided before the manager started.
func (r *Reconciler) recall(ctx context.Context) error {
	m := r.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return nil
	}
	var announcements v1alpha1.VIPAnnouncementList
	if err := r.client.List(ctx, &announcements); err != nil {
		return fmt.Errorf("listing the VIPAnnouncements: %w", err)
	}
	var leases coordinationv1.LeaseList
	if err := r.client.List(ctx, &leases, client.InNamespace(r.namespace)); err != nil {
		return fmt.Errorf("listing the Leases: %w", err)
	}
	owners := map[string]string{} // by the Lease and the UID of the Service
	for _, l := range leases.Items {
		owners[l.Name+"/"+l.Annotations[v1alpha1.AnnotationServiceUID]] = holder(&l)
	}
	now := m.now()
	for _, a := range announcements.Items {
		key := nameOf(client.ObjectKeyFromObject(&a))
		owner := owners[v1alpha1.ServiceLease(a.Namespace, a.Name)+"/"+string(controllerOf(&a))]
		if len(a.Spec.Candidates) > 0 || owner != "" {
			m.spread.Note(key, owner, a.Spec.Candidates, now)
			m.sight.Announcement(now, key, false)
		}
	}
	m.full = true
	return nil
}
