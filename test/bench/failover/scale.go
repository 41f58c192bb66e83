// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// crowd is many Services without pods, in a namespace of their own, with addresses from a pool of their own that lies
// outside the LAN's subnet: a default route leads there, as to a routed block of addresses.
type crowd struct {
	name string
	size int
	// dual gives every other Service an IPv6 address instead of an IPv4 address.
	dual bool
	// node is who may speak; empty: everybody.
	node string
}

const crowdTimeout = 15 * time.Minute

func (c crowd) pool() *v1alpha1.VIPPool {
	p := &v1alpha1.VIPPool{}
	p.Name = c.name
	p.Spec.Addresses = []v1alpha1.AddressRange{"172.20.0.0/18", "fd00:20::/112"}
	p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: c.name}}
	if c.node != "" {
		p.Spec.Announcements = []v1alpha1.AnnouncementPolicy{{
			NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: c.node}},
		}}
	}
	return p
}

func (c crowd) service(i int) *corev1.Service {
	s := &corev1.Service{}
	s.Name, s.Namespace = fmt.Sprintf("s%05d", i), c.name
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	s.Spec.Ports = []corev1.ServicePort{{Port: servicePort}}
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	if c.dual && i%2 == 1 {
		s.Spec.IPFamilies[0] = corev1.IPv6Protocol
	}
	return s
}

// gather creates a crowd and waits until all of it is spoken for; scatter removes it.
func (b *bench) gather(ctx context.Context, c crowd) error {
	ns := &corev1.Namespace{}
	ns.Name = c.name
	if err := errors.Join(client.IgnoreAlreadyExists(b.api.Create(ctx, ns)), client.IgnoreAlreadyExists(b.api.Create(ctx, c.pool()))); err != nil {
		return err
	}
	began := time.Now()
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range c.size {
		group.Go(func() error { return client.IgnoreAlreadyExists(b.api.Create(creating, c.service(i))) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	created, told := time.Since(began), time.Now()
	err := until(ctx, crowdTimeout, func() error {
		all, err := b.crowd(ctx, c)
		if err != nil {
			return err
		}
		spoken := 0
		for _, a := range all {
			if a.Status.Node != "" && (c.node == "" || a.Status.Node == c.node) {
				spoken++
			}
		}
		if spoken < c.size {
			if time.Since(told) > 10*time.Second {
				told = time.Now()
				b.say("%d of %d Services are spoken for", spoken, c.size)
			}
			return errors.Join(fmt.Errorf("%d of %d Services are spoken for", spoken, c.size), sleep(ctx, time.Second))
		}
		return nil
	})
	b.say("%d Services: created in %s, spoken for after %s", c.size, created.Round(time.Second), time.Since(began).Round(time.Second))
	return err
}

func (b *bench) scatter(ctx context.Context, c crowd) error {
	err := until(ctx, crowdTimeout, func() error {
		// Many are more than one request gets through with in its time.
		deleting := b.api.DeleteAllOf(ctx, &corev1.Service{}, client.InNamespace(c.name))
		var services corev1.ServiceList
		if err := b.api.List(ctx, &services, client.InNamespace(c.name), client.Limit(1)); err != nil || len(services.Items) > 0 {
			return errors.Join(errors.New("some Services are left"), deleting, err)
		}
		all, err := b.crowd(ctx, c)
		if err == nil && len(all) > 0 {
			err = errors.Join(fmt.Errorf("%d announcements are left", len(all)), sleep(ctx, time.Second))
		}
		return err
	})
	ns := &corev1.Namespace{}
	ns.Name = c.name
	return errors.Join(err, b.api.Delete(ctx, ns), b.api.Delete(ctx, c.pool()))
}

// within gathers a crowd for as long as f runs. That it cannot be removed is told, and takes nothing from what was
// measured.
func (b *bench) within(ctx context.Context, c crowd, f func() error) error {
	err := b.settle(ctx)
	if err == nil {
		err = b.gather(ctx, c)
	}
	if err == nil {
		err = f()
	}
	if left := b.scatter(ctx, c); left != nil {
		b.say("removing %s: %v", c.name, left)
	}
	return err
}

func (b *bench) crowd(ctx context.Context, c crowd) ([]v1alpha1.VIPAnnouncement, error) {
	var list v1alpha1.VIPAnnouncementList
	err := b.api.List(ctx, &list, client.InNamespace(c.name))
	return list.Items, err
}

func crowdAddresses(all []v1alpha1.VIPAnnouncement) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range all {
		addrs = append(addrs, addresses(a)...)
	}
	return addrs
}
