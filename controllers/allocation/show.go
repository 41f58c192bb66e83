// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// show writes the addresses that may be shown to the Service's status, if that changes it. It
// gives what the Service shows, and after what time to look again; zero: when something changes.
func (r *Reconciler) show(ctx context.Context, s *corev1.Service, d ipam.Decision) (shown []string, again time.Duration, err error) {
	a, err := r.announcement(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	claims := d.Addresses(inventory.Families(s))
	what, again := ipam.Publish(r.found(s, a, claims), time.Now().Unix())
	before := s.Status.LoadBalancer.Ingress
	after := r.ingress(s, d, claims, what)
	had, has := ips(before), ips(after)
	if equality.Semantic.DeepEqual(before, after) {
		return has, again, nil
	}
	changed := s.DeepCopy()
	changed.Status.LoadBalancer.Ingress = after
	patch := client.MergeFromWithOptions(s, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, changed, patch); err != nil {
		return nil, 0, fmt.Errorf("writing the Service's addresses: %w", err)
	}
	if !slices.Equal(had, has) {
		r.recorder.Record(allocated(s, claims, has, had))
		if s.Annotations[annotationSharingKey] != "" {
			r.recorder.Record(sharingIgnored(s))
		}
	}
	return has, again, nil
}

// found gathers what is known of the addresses that a Service has.
func (r *Reconciler) found(s *corev1.Service, a *v1alpha1.VIPAnnouncement, claims []ipam.Claim) []ipam.Found {
	shown := inventory.Shown(s)
	made := r.inventory.ClaimsOf(client.ObjectKeyFromObject(s)) // with the time of those that were just made
	found := make([]ipam.Found, 0, len(claims))
	for _, c := range claims {
		f := ipam.Found{Created: time.Now().Unix(), Shown: slices.Contains(shown, c.Address)}
		for _, m := range made {
			if m.Address == c.Address && m.Created != 0 {
				f.Created = m.Created
			}
		}
		if a != nil {
			f.Free = isFree(a, c.Address)
			f.Prober = slices.ContainsFunc(a.Spec.Candidates, func(node string) bool {
				return r.nodes.Probes(node, c.Address, a.Spec.Interfaces)
			})
		}
		found = append(found, f)
	}
	return found
}

// ingress is what the status of the Service should say. A Service that gets nothing keeps
// the entries that somebody else gave it and nobody claims: they are not ours to take.
func (r *Reconciler) ingress(s *corev1.Service, d ipam.Decision, claims []ipam.Claim, what []ipam.Publication) []corev1.LoadBalancerIngress {
	mode := corev1.LoadBalancerIPModeVIP
	var entries []corev1.LoadBalancerIngress
	for i, c := range claims {
		switch what[i] {
		case ipam.Show:
			entries = append(entries, corev1.LoadBalancerIngress{IP: c.Address.String(), IPMode: &mode})
		case ipam.Hold:
			entries = append(entries, r.held(s, ipam.FamilyOf(c.Address))...)
		case ipam.Withhold:
		}
	}
	if len(claims) > 0 || len(d.Release) > 0 {
		return entries
	}
	for _, in := range s.Status.LoadBalancer.Ingress {
		if !r.inventory.Claimable(in.IP) {
			continue
		}
		entries = append(entries, in)
	}
	return entries
}

// held are the entries of a family that a Service shows and that nobody else was given.
func (r *Reconciler) held(s *corev1.Service, f ipam.Family) []corev1.LoadBalancerIngress {
	var entries []corev1.LoadBalancerIngress
	for _, in := range s.Status.LoadBalancer.Ingress {
		a, err := netip.ParseAddr(in.IP)
		if err == nil && ipam.FamilyOf(a) == f && r.inventory.Showable(client.ObjectKeyFromObject(s), in.IP) {
			entries = append(entries, in)
		}
	}
	return entries
}

// ips lists the addresses of ingress entries.
func ips(ingress []corev1.LoadBalancerIngress) []string {
	var out []string
	for _, in := range ingress {
		out = append(out, in.IP)
	}
	return out
}
