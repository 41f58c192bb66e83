// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/controllers/follow"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

// Inventory is safe for concurrent use.
type Inventory struct {
	follow.Feed[Change]

	mu       sync.Mutex // guards all below
	specs    map[string]poolEntry
	cidrs    map[string][]netip.Prefix // by the name of the ServiceCIDR
	nodes    map[string][]netip.Addr
	cards    map[string][]ipam.NodeAddress // by facts Lease
	pools    ipam.Pools
	ledger   *ipam.Ledger
	refusals map[types.NamespacedName]string
}

// poolEntry is a pool with the selectors of the Services it is for.
type poolEntry struct {
	spec                ipam.PoolSpec
	services, namespace labels.Selector
}

// New gives an empty inventory.
func New() *Inventory {
	return &Inventory{
		specs:    map[string]poolEntry{},
		cidrs:    map[string][]netip.Prefix{},
		nodes:    map[string][]netip.Addr{},
		cards:    map[string][]ipam.NodeAddress{},
		ledger:   ipam.NewLedger(),
		refusals: map[types.NamespacedName]string{},
	}
}

// Change is something that happened to the inventory.
type Change struct {
	// Service whose claims or whose refusal changed, if one did.
	Service types.NamespacedName
	// Pool of which addresses were given or came back, if one did.
	Pool string
	// Pools: the pools, or what is reserved, changed.
	Pools bool
	// Freed: addresses came back that a Service may be waiting for.
	Freed bool
}

// Decide answers what becomes of a Service's addresses, and holds those that are to be
// claimed until Claimed or Abandon. Those that are to be set aside are so at once, until
// Claimed says otherwise: of two Services, one gets the last that may be.
func (i *Inventory) Decide(r ipam.Request, service, namespace labels.Set) ipam.Decision {
	d := i.decide(r, service, namespace)
	for _, x := range d.SetAside {
		i.Tell(Change{Service: types.NamespacedName(r.Service), Pool: x.Was.Pool})
	}
	return d
}

// decide is Decide without a word to anybody.
func (i *Inventory) decide(r ipam.Request, service, namespace labels.Set) ipam.Decision {
	i.mu.Lock()
	defer i.mu.Unlock()
	r.Selects = func(pool string) bool {
		e, ok := i.specs[pool]
		return ok && e.services.Matches(service) && e.namespace.Matches(namespace)
	}
	d := ipam.Decide(r, i.pools, i.ledger)
	for _, c := range d.Take {
		i.ledger.Put(c)
	}
	for _, x := range d.SetAside {
		i.ledger.Put(x.Aside)
	}
	return d
}

// Abandon gives up an address that Decide held, when its claim was not created.
func (i *Inventory) Abandon(c ipam.Claim) {
	i.mu.Lock()
	i.ledger.Drop(c.Address, "")
	i.mu.Unlock()
}

// Claimed notes a claim as the API has it, sooner than the cache does.
func (i *Inventory) Claimed(c ipam.Claim) {
	i.mu.Lock()
	was, changed := i.ledger.Put(c)
	i.mu.Unlock()
	if changed {
		i.notifyClaim(c, was)
	}
}

// notifyClaim tells of a claim that came, went or changed hands.
func (i *Inventory) notifyClaim(c ipam.Claim, was ipam.Service) {
	if was != (ipam.Service{}) && was != c.Service {
		i.Tell(Change{Service: types.NamespacedName(was)})
	}
	i.Tell(Change{Service: types.NamespacedName(c.Service), Pool: c.Pool})
}

// ClaimsOf gives the claims of a Service.
func (i *Inventory) ClaimsOf(s types.NamespacedName) []ipam.Claim {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ledger.Of(ipam.Service(s))
}

// Ordered gives the claims of the Service that a request is of; of each family, the one that it
// keeps comes first.
func (i *Inventory) Ordered(r ipam.Request) []ipam.Claim {
	i.mu.Lock()
	defer i.mu.Unlock()
	return ipam.Order(r, i.pools, i.ledger.Of(r.Service))
}

// Pools gives the pools as they are now.
func (i *Inventory) Pools() ipam.Pools {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.pools
}

// Counts are the addresses of a pool, of one family.
type Counts struct {
	Capacity, Allocated, Available, SetAside int64
}

// Count counts the addresses of a pool.
func (i *Inventory) Count(p *ipam.Pool) (v4, v6 Counts) {
	i.mu.Lock()
	defer i.mu.Unlock()
	v4 = Counts{Capacity: p.Capacity(ipam.IPv4), Available: p.Available(ipam.IPv4, i.ledger)}
	v6 = Counts{Capacity: p.Capacity(ipam.IPv6), Available: p.Available(ipam.IPv6, i.ledger)}
	t4, t6 := i.ledger.Tallies(p.Name)
	v4.Allocated, v4.SetAside = t4.Allocated, t4.SetAside
	v6.Allocated, v6.SetAside = t6.Allocated, t6.SetAside
	return v4, v6
}

// Refuse notes why a Service does not get what it asks for; empty: it does. It tells
// whether that is news.
func (i *Inventory) Refuse(s types.NamespacedName, message string) (changed bool) {
	i.mu.Lock()
	changed = i.refusals[s] != message
	if message == "" {
		delete(i.refusals, s)
	} else {
		i.refusals[s] = message
	}
	i.mu.Unlock()
	if changed {
		i.Tell(Change{Service: s})
	}
	return changed
}

// Refusal says why a Service does not get what it asks for, if it does not.
func (i *Inventory) Refusal(s types.NamespacedName) (message string, refused bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	message, refused = i.refusals[s]
	return message, refused
}

// Refused lists the Services that do not get what they ask for.
func (i *Inventory) Refused() []types.NamespacedName {
	i.mu.Lock()
	defer i.mu.Unlock()
	services := make([]types.NamespacedName, 0, len(i.refusals))
	for s := range i.refusals {
		services = append(services, s)
	}
	return services
}

// Claimable tells whether a text is no address, or one that nobody claims.
func (i *Inventory) Claimable(text string) bool {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	_, claimed := i.ledger.Get(a)
	return !claimed
}

// Showable tells whether a Service may go on showing an address that it shows: nobody else was
// given it.
func (i *Inventory) Showable(s types.NamespacedName, text string) bool {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	c, claimed := i.ledger.Get(a)
	return !claimed || c.SetAside() || c.Service == ipam.Service(s)
}

// Forget notes that a claim is gone, sooner than the cache does.
func (i *Inventory) Forget(c ipam.Claim) {
	i.mu.Lock()
	dropped := i.ledger.Drop(c.Address, c.ID)
	i.mu.Unlock()
	if dropped {
		i.Tell(Change{Service: types.NamespacedName(c.Service), Pool: c.Pool, Freed: true})
	}
}
