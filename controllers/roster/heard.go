// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"net/netip"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// Silent tells whether no heartbeat of a node has arrived for three lease durations.
func (r *Roster) Silent(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent(node)
}

// silent is Silent under the lock.
func (r *Roster) silent(node string) bool {
	b, ok := r.beats[v1alpha1.NodeLease(node)]
	return !ok || b.gone || r.now().Sub(b.arrived) > silentAfter*b.length
}

// Heard tells when the last heartbeat of a node arrived, and for how long it holds good. A
// node that was never heard counts as heard when the roster was made: there was no time to
// hear it before.
func (r *Roster) Heard(node string) (at time.Time, lasts time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard(node)
}

// heard is Heard under the lock.
func (r *Roster) heard(node string) (at time.Time, lasts time.Duration) {
	if b, ok := r.beats[v1alpha1.NodeLease(node)]; ok {
		return b.arrived, b.length
	}
	return r.began, defaultLease
}

// Overdue tells whether the last heartbeat of a node does not hold good any more.
func (r *Roster) Overdue(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.overdue(node)
}

// overdue is Overdue under the lock.
func (r *Roster) overdue(node string) bool {
	at, lasts := r.heard(node)
	return r.now().Sub(at) >= lasts
}

// Probes tells whether the agent of a node is there to probe an address: it is heard, and the
// node has an interface for it.
func (r *Roster) Probes(node string, a netip.Addr, patterns []v1alpha1.InterfacePattern) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.overdue(node) && len(r.facts[v1alpha1.FactsLease(node)].Choose(a, patterns)) > 0
}

// Latest tells whether a heartbeat, as the API server has it, is the one that arrived last.
func (r *Roster) Latest(l *coordinationv1.Lease) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.beats[l.Name].version == l.ResourceVersion
}

// Well tells of each node whether all that is known of it is as it should be: its
// interfaces are told, it has a network, it is ready, and its agent is heard.
func (r *Roster) Well() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	well := make(map[string]bool, len(r.nodes))
	for name, n := range r.nodes {
		_, told := r.facts[v1alpha1.FactsLease(name)]
		_, beats := r.beats[v1alpha1.NodeLease(name)]
		well[name] = told && beats && !n.networkUnavailable && !n.unready && !r.overdue(name)
	}
	return well
}
