// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// announcement reads the announcement of a Service; nil: there is none, or it is of an earlier
// Service of this name.
func (r *Reconciler) announcement(ctx context.Context, s *corev1.Service) (*v1alpha1.VIPAnnouncement, error) {
	var a v1alpha1.VIPAnnouncement
	if err := r.client.Get(ctx, client.ObjectKeyFromObject(s), &a); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading the VIPAnnouncement: %w", err)
	}
	if owner := metav1.GetControllerOf(&a); owner == nil || owner.UID != s.UID {
		return nil, nil
	}
	return &a, nil
}

// readContests reads the conflicts in the status of an announcement. Agents wrote them: what
// cannot be an address of the announcement, or a card, is passed over, as is what only tells
// of proxies and kernels. Of several reports of one address the first counts.
func readContests(a *v1alpha1.VIPAnnouncement) []ipam.Contest {
	if a == nil {
		return nil
	}
	var contests []ipam.Contest
	for _, c := range a.Status.Conflicts {
		addr, err := netip.ParseAddr(c.Address)
		mac, macErr := net.ParseMAC(c.MAC)
		switch {
		case c.Reason != v1alpha1.ReasonForeignHost && c.Reason != v1alpha1.ReasonOtherAnnouncer:
			continue
		case err != nil, macErr != nil, len(mac) != 6, mac[0]&1 != 0, mac.String() == "00:00:00:00:00:00":
			continue
		case !slices.ContainsFunc(a.Spec.Addresses, func(x v1alpha1.AnnouncedAddress) bool { return x.Address == addr.String() }):
			continue
		case slices.ContainsFunc(contests, func(o ipam.Contest) bool { return o.Address == addr }):
			continue
		}
		reporter := "an agent"
		if len(validation.IsDNS1123Subdomain(c.Reporter)) == 0 {
			reporter = "node " + c.Reporter
		}
		contests = append(contests, ipam.Contest{
			Address: addr, MAC: mac.String(), Reporter: reporter,
			InUse: isFree(a, addr),
		})
	}
	return contests
}

// isFree tells whether a node found an address free once, or speaks for it.
func isFree(a *v1alpha1.VIPAnnouncement, addr netip.Addr) bool {
	return slices.Contains(a.Status.Probed, addr.String()) ||
		slices.ContainsFunc(a.Status.Addresses, func(x v1alpha1.SpokenAddress) bool { return x.Address == addr.String() })
}

// settle writes to the claims which addresses are set aside, and which are yielded. What the
// Service gets instead is claimed by now, and not shown yet: a manager that ends here finds
// the Service with one claim, and goes on from there.
func (r *Reconciler) settle(ctx context.Context, s *corev1.Service, d ipam.Decision) error {
	for n, x := range d.SetAside {
		if err := r.mark(ctx, x.Was, x.Aside, v1alpha1.SetAsideReplaced); err != nil {
			r.takeBack(ctx, d.SetAside[n:])
			return err
		}
		contested.WithLabelValues(v1alpha1.SetAsideReplaced).Inc()
		r.recorder.Record(setAside(s, x))
	}
	for _, x := range d.Pause {
		if err := r.mark(ctx, x.Was, x.Yielded, v1alpha1.SetAsideYielded); err != nil {
			return err
		}
		contested.WithLabelValues(v1alpha1.SetAsideYielded).Inc()
		r.recorder.Record(yielded(s, x))
	}
	return nil
}

// takeBack has the inventory know the claims as they are, which it took to be set aside.
func (r *Reconciler) takeBack(ctx context.Context, list []ipam.Replacement) {
	for _, x := range list {
		now := x.Was
		o, err := r.read(ctx, x.Was)
		if err == nil {
			now, _ = inventory.ReadClaim(o) // its name is an address: it was found by it
		}
		r.inventory.Claimed(now)
		if apierrors.IsNotFound(err) {
			r.inventory.Forget(now)
		}
	}
}

// read reads a claim from the API server.
func (r *Reconciler) read(ctx context.Context, c ipam.Claim) (*networkingv1.IPAddress, error) {
	var o networkingv1.IPAddress
	if err := r.live.Get(ctx, types.NamespacedName{Name: c.Address.String()}, &o); err != nil {
		return nil, fmt.Errorf("reading the claim of %s: %w", c.Address, err)
	}
	return &o, nil
}

// mark writes to a claim that another host uses its address.
func (r *Reconciler) mark(ctx context.Context, was, is ipam.Claim, kind string) error {
	return r.change(ctx, was, func(o *networkingv1.IPAddress) {
		metav1.SetMetaDataLabel(&o.ObjectMeta, v1alpha1.LabelSetAside, kind)
		metav1.SetMetaDataAnnotation(&o.ObjectMeta, v1alpha1.AnnotationSetAsideMAC, is.Aside.MAC)
		metav1.SetMetaDataAnnotation(&o.ObjectMeta, v1alpha1.AnnotationSetAsideSince, time.Unix(is.Aside.Since, 0).UTC().Format(time.RFC3339))
	})
}

// resume makes a yielded claim one like any other.
func (r *Reconciler) resume(ctx context.Context, c ipam.Claim) error {
	return r.change(ctx, c, func(o *networkingv1.IPAddress) {
		delete(o.Labels, v1alpha1.LabelSetAside)
		delete(o.Annotations, v1alpha1.AnnotationSetAsideMAC)
		delete(o.Annotations, v1alpha1.AnnotationSetAsideSince)
	})
}

// change writes labels and annotations of a claim, if it is still the one that was looked at.
func (r *Reconciler) change(ctx context.Context, was ipam.Claim, apply func(*networkingv1.IPAddress)) error {
	o, err := r.read(ctx, was)
	if err != nil {
		return err
	}
	if now, ok := inventory.ReadClaim(o); !ok || now != was {
		return apierrors.NewConflict(networkingv1.Resource("ipaddresses"), o.Name, errors.New("the cache is behind"))
	}
	changed := o.DeepCopy()
	apply(changed)
	if err := r.client.Patch(ctx, changed, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("writing to the claim of %s: %w", was.Address, err)
	}
	if made, ok := inventory.ReadClaim(changed); ok {
		r.inventory.Claimed(made)
	}
	return nil
}
