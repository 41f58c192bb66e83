// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/roster"
)

// addresses gives the addresses of a Service in the order of its families: of each family
// the one that it has the claim of and keeps, unless it was yielded. It need not show it yet:
// it does once the nodes that read it here have probed it. What was announced stays while the claim or
// the status is missing and nobody else has the address: allocation puts back what somebody
// deleted, and meanwhile the speaker goes on.
func (r *Reconciler) addresses(s *corev1.Service, before []v1alpha1.AnnouncedAddress) []v1alpha1.AnnouncedAddress {
	claims := r.inventory.Ordered(inventory.Request(s))
	// While allocation makes claims, those that are made already wait for the others: they come
	// with one write.
	making := slices.ContainsFunc(claims, func(c ipam.Claim) bool { return c.ID == "" })
	shown := inventory.Shown(s)
	var out []v1alpha1.AnnouncedAddress
	for _, f := range inventory.Families(s) {
		var of []v1alpha1.AnnouncedAddress // what may be announced, the best first
		for _, c := range claims {
			text := c.Address.String()
			known := slices.Contains(shown, c.Address) || slices.ContainsFunc(before, func(x v1alpha1.AnnouncedAddress) bool { return x.Address == text })
			if ipam.FamilyOf(c.Address) == f && c.ID != "" && c.UID == string(s.UID) && !c.Yielded() && (known || !making) {
				of = append(of, v1alpha1.AnnouncedAddress{Address: text, Pool: c.Pool})
			}
		}
		for _, x := range before {
			a, err := netip.ParseAddr(x.Address)
			if err != nil || ipam.FamilyOf(a) != f {
				continue
			}
			remade := slices.ContainsFunc(claims, func(c ipam.Claim) bool { return c.Address == a && c.ID == "" })
			if slices.Contains(shown, a) && (remade || r.inventory.Claimable(x.Address)) {
				of = append(of, x)
			}
		}
		if len(of) > 0 {
			out = append(out, of[0])
		}
	}
	return out
}

// view gathers what the pools of the addresses say of nodes and interfaces. Of two pools
// both must select a node, since one node speaks for all addresses of a Service; named
// interfaces of one hold for both, as agents know one list for an announcement. A pool
// that is gone says nothing any more, but for the interfaces the announcement has from it.
func (r *Reconciler) view(ctx context.Context, s *corev1.Service, addrs []v1alpha1.AnnouncedAddress, before []v1alpha1.InterfacePattern) (roster.View, error) {
	var v roster.View
	seen := map[string]bool{}
	for _, a := range addrs {
		addr, err := netip.ParseAddr(a.Address)
		if err != nil {
			continue
		}
		v.Addresses = append(v.Addresses, addr)
		if seen[a.Pool] {
			continue
		}
		seen[a.Pool] = true
		var p v1alpha1.VIPPool
		err = r.client.Get(ctx, types.NamespacedName{Name: a.Pool}, &p)
		switch {
		case apierrors.IsNotFound(err):
			v.Patterns = union(v.Patterns, before)
			continue
		case err != nil:
			return roster.View{}, fmt.Errorf("reading VIPPool %q: %w", a.Pool, err)
		}
		addPolicy(&v, s, &p)
	}
	return v, nil
}

// carry writes to the addresses what their pools say of conflicts and pings. The defaults are
// left out, so that a pool that says nothing new has nothing written. A pool that is gone says
// what it said last.
func (r *Reconciler) carry(ctx context.Context, addrs, before []v1alpha1.AnnouncedAddress) error {
	for n := range addrs {
		x := &addrs[n]
		var p v1alpha1.VIPPool
		err := r.client.Get(ctx, types.NamespacedName{Name: x.Pool}, &p)
		switch {
		case apierrors.IsNotFound(err):
			for _, old := range before {
				if old.Address == x.Address {
					x.ConflictPolicy, x.Probing, x.Ping = old.ConflictPolicy, old.Probing, old.Ping
				}
			}
			continue
		case err != nil:
			return fmt.Errorf("reading VIPPool %q: %w", x.Pool, err)
		}
		x.ConflictPolicy, x.Probing, x.Ping = "", "", ""
		if p.Spec.ConflictPolicy != v1alpha1.DefendAddress {
			x.ConflictPolicy = p.Spec.ConflictPolicy
		}
		if p.Spec.Probing != v1alpha1.QuickProbing {
			x.Probing = p.Spec.Probing
		}
		if p.Spec.Ping != v1alpha1.Disabled {
			x.Ping = p.Spec.Ping
		}
	}
	return nil
}

// addPolicy adds the first entry of a pool that is for the Service.
func addPolicy(v *roster.View, s *corev1.Service, p *v1alpha1.VIPPool) {
	for _, e := range p.Spec.Announcements {
		if !inventory.Selector(e.ServiceSelector).Matches(labels.Set(s.Labels)) {
			continue
		}
		v.Selectors = append(v.Selectors, inventory.Selector(e.NodeSelector))
		for _, pref := range e.PreferredNodes {
			v.Preferences = append(v.Preferences, roster.Preference{Weight: int(pref.Weight), Selector: inventory.Selector(&pref.NodeSelector)})
		}
		v.Patterns = union(v.Patterns, e.Interfaces)
		return
	}
}

// union adds to a list what it lacks.
func union(list, more []v1alpha1.InterfacePattern) []v1alpha1.InterfacePattern {
	for _, p := range more {
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}
