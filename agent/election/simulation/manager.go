// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// manager writes announcements and makes Leases. It orders that a speaker be replaced
// whose heartbeat has stood for a minute.
type manager struct {
	world *world
	now   []*announcement // by Lease
	first [][]string      // by Lease: the candidates at the start
	log   []*announcement
	stood []time.Duration // by node: for how long its heartbeat has stood
	last  []int           // by node: the heartbeat's version
	off   int             // > 0: it does nothing by itself
}

// announcement is what the manager says of a Lease's addresses.
type announcement struct {
	lease      int
	candidates []string
	excluded   map[string]string
	moveTo     string
	displace   epoch
	gone       bool // deleted
}

const displaceAfter = time.Minute

func (m *manager) begin(w *world, order []int) {
	m.world = w
	var candidates []string
	for _, i := range order {
		candidates = append(candidates, names(i))
	}
	for l := range w.Leases {
		m.now = append(m.now, &announcement{lease: l})
		c := slices.Clone(candidates)
		for range l % len(c) { // so that the Leases are spread
			c = append(c[1:], c[0])
		}
		m.first = append(m.first, c)
		m.announce(l, func(a *announcement) { a.candidates = c })
		w.store.leases = append(w.store.leases, election.Lease{})
		w.store.recent = append(w.store.recent, nil)
	}
	for l := range w.Leases {
		w.store.make(l, "")
	}
	m.stood, m.last = make([]time.Duration, w.Nodes), make([]int, w.Nodes)
	w.after(time.Second, m.watch)
}

// announce changes an announcement.
func (m *manager) announce(lease int, f func(a *announcement)) {
	a := *m.now[lease]
	a.candidates, a.excluded = slices.Clone(a.candidates), maps.Clone(a.excluded)
	f(&a)
	m.now[lease] = &a
	m.log = append(m.log, &a)
	w := m.world
	w.logf("manager: %d: candidates %v, excluded %v, moveTo %q, displace %v, gone %t", lease, a.candidates, a.excluded, a.moveTo, a.displace, a.gone)
	for _, h := range w.hosts {
		for _, p := range []*proc{h.proc, h.next} {
			if p != nil {
				p.policies.plan(len(m.log) - 1)
			}
		}
	}
}

// watch looks at the heartbeats once a second.
func (m *manager) watch() {
	w := m.world
	w.after(time.Second, m.watch)
	if m.off > 0 || w.store.away() > 0 || w.Flaw == NoDisplacement {
		return
	}
	for i, b := range w.store.beats {
		m.stood[i] += time.Second
		if b.version != m.last[i] {
			m.stood[i], m.last[i] = 0, b.version
		}
	}
	for l, lease := range w.store.leases {
		if lease.Holder == "" {
			continue
		}
		e := epoch{lease.UID, lease.Transitions}
		if m.stood[w.hostOf(lease.Holder).index] >= displaceAfter && m.now[l].displace != e {
			m.announce(l, func(a *announcement) { a.displace = e })
		}
	}
}
