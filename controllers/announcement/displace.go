// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
)

// displacement is an order to replace a speaker that still answers.
type displacement struct {
	epoch v1alpha1.Epoch // empty: no order
	again time.Duration  // when to ask again; zero: when something changes
	news  *journal.Entry // what to tell when it is written
}

// displace decides whether the speaker may be replaced although it answers.
func (r *Reconciler) displace(ctx context.Context, s *corev1.Service, l *coordinationv1.Lease, a *v1alpha1.VIPAnnouncement, candidates []string, ends endpoints) (displacement, error) {
	changed := r.memory.changed(nameOf(client.ObjectKeyFromObject(s)), ends.print)
	owner := holder(l)
	if owner == "" || !isOf(l, s) || a == nil {
		return displacement{}, nil
	}
	at, lasts := r.roster.Heard(owner)
	d := placement.Displacement{
		Now: r.memory.now(), Heard: r.memory.at(at), Lasts: lasts,
		Changed: changed.changed, EndpointsKnown: changed.known,
	}
	var transitions int32
	if l.Spec.LeaseTransitions != nil {
		transitions = *l.Spec.LeaseTransitions
	}
	epoch := v1alpha1.NewEpoch(string(l.UID), transitions)
	if a.Spec.Displace == epoch && d.Overdue() {
		return displacement{epoch: epoch}, nil
	}
	for _, c := range candidates {
		d.Successor = d.Successor || c != owner && !r.roster.Overdue(c)
	}
	order, in := d.Decide()
	if !order {
		return displacement{again: in}, nil
	}
	if err := r.unheard(ctx, owner); err != nil {
		return displacement{}, err
	}
	news := displaced(s, owner, d)
	return displacement{epoch: epoch, news: &news}, nil
}

// unheard makes sure that the API server knows of no later heartbeat of a node than the
// cache: otherwise it is the manager's watch that is late.
func (r *Reconciler) unheard(ctx context.Context, node string) error {
	var l coordinationv1.Lease
	name := v1alpha1.NodeLease(node)
	err := r.live.Get(ctx, types.NamespacedName{Namespace: r.namespace, Name: name}, &l)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("reading Lease %q: %w", name, err)
	case err == nil && !r.roster.Latest(&l):
		return stale("leases", name)
	}
	return nil
}
