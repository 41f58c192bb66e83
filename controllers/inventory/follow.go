// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/follow"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// Follow makes the inventory follow the objects in the cache. It is called once, before
// the cache is started.
func (i *Inventory) Follow(ctx context.Context, informers cache.Informers) error {
	return errors.Join(
		follow.Objects(ctx, &i.Feed, informers, &v1alpha1.VIPPool{}, i.putPool, i.dropPool),
		follow.Objects(ctx, &i.Feed, informers, &networkingv1.ServiceCIDR{}, i.putCIDR, i.dropCIDR),
		follow.Objects(ctx, &i.Feed, informers, &corev1.Node{}, i.putNode, i.dropNode),
		follow.Objects(ctx, &i.Feed, informers, &coordinationv1.Lease{}, i.putLease, i.dropLease),
		follow.Objects(ctx, &i.Feed, informers, &networkingv1.IPAddress{}, i.putClaim, i.dropClaim),
		follow.Objects(ctx, &i.Feed, informers, &corev1.Service{}, i.putService, i.dropService),
	)
}

// putPool notes a pool.
func (i *Inventory) putPool(p *v1alpha1.VIPPool) {
	e := poolEntry{spec: ipam.PoolSpec{
		Name:          p.Name,
		Addresses:     texts(p.Spec.Addresses),
		Exclude:       texts(p.Spec.Exclude),
		Priority:      p.Spec.Priority,
		OnRequestOnly: p.Spec.AutoAssign == v1alpha1.Disabled,
		Drained:       p.Spec.Allocation == v1alpha1.Disabled || p.DeletionTimestamp != nil,
		UseEdges:      p.Spec.EdgeAddresses == v1alpha1.UseEdgeAddresses,
		Yields:        p.Spec.ConflictPolicy == v1alpha1.YieldAddress,
	}}
	e.services = Selector(p.Spec.ServiceSelector)
	e.namespace = Selector(p.Spec.NamespaceSelector)
	i.change(func() bool {
		old, ok := i.specs[p.Name]
		i.specs[p.Name] = e
		return !ok || !old.equal(e)
	})
}

// equal tells whether two entries mean the same.
func (e poolEntry) equal(o poolEntry) bool {
	a, b := e.spec, o.spec
	return slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Exclude, b.Exclude) &&
		a.Priority == b.Priority && a.OnRequestOnly == b.OnRequestOnly && a.Drained == b.Drained && a.UseEdges == b.UseEdges && a.Yields == b.Yields &&
		e.services.String() == o.services.String() && e.namespace.String() == o.namespace.String()
}

// Selector reads a label selector of our API: none matches everything, one that cannot be
// read matches nothing (the API server accepts only few of those).
func Selector(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return labels.Everything()
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

// texts are the ranges as they are written.
func texts(ranges []v1alpha1.AddressRange) []string {
	out := make([]string, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, string(r))
	}
	return out
}

// dropPool forgets a pool.
func (i *Inventory) dropPool(p *v1alpha1.VIPPool) {
	i.change(func() bool { delete(i.specs, p.Name); return true })
}

// putCIDR notes a range of ClusterIPs.
func (i *Inventory) putCIDR(c *networkingv1.ServiceCIDR) {
	var prefixes []netip.Prefix
	for _, text := range c.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			prefixes = append(prefixes, p.Masked())
		}
	}
	i.change(func() bool {
		same := slices.Equal(i.cidrs[c.Name], prefixes)
		i.cidrs[c.Name] = prefixes
		return !same
	})
}

// dropCIDR forgets a range of ClusterIPs.
func (i *Inventory) dropCIDR(c *networkingv1.ServiceCIDR) {
	i.change(func() bool { delete(i.cidrs, c.Name); return true })
}

// putNode notes the addresses of a node.
func (i *Inventory) putNode(n *corev1.Node) {
	var addrs []netip.Addr
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			addrs = append(addrs, addr.Unmap())
		}
	}
	i.change(func() bool {
		same := slices.Equal(i.nodes[n.Name], addrs)
		i.nodes[n.Name] = addrs
		return !same
	})
}

// dropNode forgets the addresses of a node.
func (i *Inventory) dropNode(n *corev1.Node) {
	i.change(func() bool {
		had := len(i.nodes[n.Name]) > 0
		delete(i.nodes, n.Name)
		return had
	})
}

// putLease notes the addresses of a node's cards, from its facts: the Node object lists
// only those that Kubernetes uses.
func (i *Inventory) putLease(l *coordinationv1.Lease) {
	if l.Labels[v1alpha1.LabelWatch] != v1alpha1.WatchFacts || l.Spec.HolderIdentity == nil {
		return
	}
	facts, err := v1alpha1.ParseFacts(l.Annotations[v1alpha1.AnnotationFacts])
	if err != nil {
		return
	}
	var cards []ipam.NodeAddress
	for _, card := range facts.Interfaces {
		for _, text := range card.Prefixes {
			if p, err := netip.ParsePrefix(text); err == nil {
				cards = append(cards, ipam.NodeAddress{Node: *l.Spec.HolderIdentity, Addr: p.Addr()})
			}
		}
	}
	i.change(func() bool {
		same := slices.Equal(i.cards[l.Name], cards)
		i.cards[l.Name] = cards
		return !same
	})
}

// dropLease forgets the addresses of a node's cards.
func (i *Inventory) dropLease(l *coordinationv1.Lease) {
	i.change(func() bool {
		had := len(i.cards[l.Name]) > 0
		delete(i.cards, l.Name)
		return had
	})
}

// change changes what the pools are made of and, if that makes a difference, the pools.
func (i *Inventory) change(apply func() bool) {
	i.mu.Lock()
	changed := apply()
	if changed {
		i.rebuild()
	}
	i.mu.Unlock()
	if changed {
		i.Tell(Change{Pools: true, Freed: true})
	}
}

// rebuild makes the pools anew. The lock is held.
func (i *Inventory) rebuild() {
	specs := make([]ipam.PoolSpec, 0, len(i.specs))
	for _, name := range slices.Sorted(maps.Keys(i.specs)) {
		specs = append(specs, i.specs[name].spec)
	}
	var reserved ipam.Reserved
	for _, name := range slices.Sorted(maps.Keys(i.cidrs)) {
		reserved.ServiceCIDRs = append(reserved.ServiceCIDRs, i.cidrs[name]...)
	}
	for _, name := range slices.Sorted(maps.Keys(i.nodes)) {
		for _, a := range i.nodes[name] {
			reserved.Nodes = append(reserved.Nodes, ipam.NodeAddress{Node: name, Addr: a})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.cards)) {
		for _, a := range i.cards[name] {
			if !slices.Contains(reserved.Nodes, a) {
				reserved.Nodes = append(reserved.Nodes, a)
			}
		}
	}
	i.pools = ipam.NewPools(specs, reserved)
}

// putClaim notes an IPAddress.
func (i *Inventory) putClaim(o *networkingv1.IPAddress) {
	if c, ok := ReadClaim(o); ok {
		i.Claimed(c)
	}
}

// dropClaim forgets an IPAddress.
func (i *Inventory) dropClaim(o *networkingv1.IPAddress) {
	if c, ok := ReadClaim(o); ok {
		i.Forget(c)
	}
}

// ReadClaim reads an IPAddress: a claim of ours, or somebody else's.
func ReadClaim(o *networkingv1.IPAddress) (ipam.Claim, bool) {
	addr, err := netip.ParseAddr(o.Name)
	if err != nil {
		return ipam.Claim{}, false
	}
	c := ipam.Claim{Address: addr, ID: string(o.UID)}
	if !o.CreationTimestamp.IsZero() {
		c.Created = o.CreationTimestamp.Unix()
	}
	parent := o.Spec.ParentRef
	switch {
	case parent == nil:
		c.Foreign = "an IPAddress object without parent"
	case o.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || parent.Group != "" || parent.Resource != "services":
		c.Foreign = fmt.Sprintf("%s %s (IPAddress object of %s)", parent.Resource, types.NamespacedName{Namespace: parent.Namespace, Name: parent.Name},
			cmp.Or(o.Labels[v1alpha1.LabelManagedBy], o.Labels[networkingv1.LabelManagedBy], "somebody else"))
	default:
		c.Service = ipam.Service{Namespace: parent.Namespace, Name: parent.Name}
		c.Pool = o.Labels[v1alpha1.LabelPool]
		c.UID = o.Annotations[v1alpha1.AnnotationServiceUID]
		c.Adopted = o.Annotations[v1alpha1.AnnotationAdopted] == "true"
		readAside(o, &c)
	}
	return c, true
}

// readAside reads that a claim of ours keeps an address from everybody, or that its Service
// yielded it. What cannot be read is set aside since ever, so that it is soon over.
func readAside(o *networkingv1.IPAddress, c *ipam.Claim) {
	kind, aside := o.Labels[v1alpha1.LabelSetAside]
	if !aside {
		return
	}
	c.Aside.MAC = cmp.Or(o.Annotations[v1alpha1.AnnotationSetAsideMAC], "unknown")
	if t, err := time.Parse(time.RFC3339, o.Annotations[v1alpha1.AnnotationSetAsideSince]); err == nil {
		c.Aside.Since = t.Unix()
	}
	if kind != v1alpha1.SetAsideYielded {
		c.Service, c.UID, c.Adopted = ipam.Service{}, "", false
	}
}

// putService notes the addresses that a Service shows.
func (i *Inventory) putService(s *corev1.Service) {
	i.show(ipam.Showing{Service: ipam.Service{Namespace: s.Namespace, Name: s.Name}, Created: s.CreationTimestamp.Unix(), Addrs: Shown(s)})
}

// dropService forgets what a Service showed.
func (i *Inventory) dropService(s *corev1.Service) {
	i.show(ipam.Showing{Service: ipam.Service{Namespace: s.Namespace, Name: s.Name}})
}

// show notes what a Service shows.
func (i *Inventory) show(s ipam.Showing) {
	i.mu.Lock()
	freed := i.ledger.Show(s)
	i.mu.Unlock()
	if freed {
		i.Tell(Change{Freed: true})
	}
}
