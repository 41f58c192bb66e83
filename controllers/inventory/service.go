// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// Class says which Services are Arpeggio's.
type Class struct {
	// OnlyNamed leaves Services without a loadBalancerClass to others.
	OnlyNamed bool
}

// Ours tells whether a Service is to have addresses from us. A Service that is being
// deleted keeps what it has until it is gone.
func (c Class) Ours(s *corev1.Service) bool {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	if s.Spec.LoadBalancerClass == nil {
		return !c.OnlyNamed
	}
	return *s.Spec.LoadBalancerClass == v1alpha1.LoadBalancerClass
}

// Requests gives a request for every Service that is ours. It is called outside of any
// reconcile, so an error (the cache is being stopped) can only be logged.
func (c Class) Requests(ctx context.Context, from client.Reader) []reconcile.Request {
	var list corev1.ServiceList
	if err := from.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "listing Services")
		return nil
	}
	var requests []reconcile.Request
	for n := range list.Items {
		if c.Ours(&list.Items[n]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[n])})
		}
	}
	return requests
}

// Shown gives the addresses in the status of a Service of type LoadBalancer.
func Shown(s *corev1.Service) []netip.Addr {
	var addrs []netip.Addr
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// Families gives the families of a Service, in its order.
func Families(s *corev1.Service) []ipam.Family {
	families := make([]ipam.Family, 0, 2)
	for _, f := range s.Spec.IPFamilies {
		if f == corev1.IPv6Protocol {
			families = append(families, ipam.IPv6)
		} else {
			families = append(families, ipam.IPv4)
		}
	}
	if len(families) == 0 { // the API server fills it in; a Service without selector may lack it
		families = append(families, ipam.IPv4)
	}
	return families
}

// Request reads what a Service asks for.
func Request(s *corev1.Service) ipam.Request {
	r := ipam.Request{
		Service:     ipam.Service{Namespace: s.Namespace, Name: s.Name},
		Families:    Families(s),
		OneIsEnough: s.Spec.IPFamilyPolicy != nil && *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack,
		Addresses:   s.Annotations[v1alpha1.AnnotationAddresses],
		AskedBy:     "annotation " + v1alpha1.AnnotationAddresses,
		Pool:        s.Annotations[v1alpha1.AnnotationPool],
		Shown:       Shown(s),
	}
	if r.Addresses == "" && s.Spec.LoadBalancerIP != "" {
		r.Addresses, r.AskedBy = s.Spec.LoadBalancerIP, "spec.loadBalancerIP"
	}
	return r
}
