// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// RestAside is how long an address that another host uses is given to nobody. Hosts that
	// got it by DHCP have it for hours, one that somebody set by hand is found out by then.
	RestAside = time.Hour
	// RestYielded is how long a Service does not announce an address that it yielded and
	// keeps; then it is probed, so that a host that is still there is heard again.
	RestYielded = time.Minute
	// maxPerMAC is how many addresses are set aside for one card at a time: a device that
	// answers for everything must not use up a pool.
	maxPerMAC = 3
	// maxPerPool bounds, beside half of its addresses, how many of a pool are set aside at a
	// time, by family: a host that answers with ever new MACs must not make objects for ever.
	maxPerPool = 64
	// skew is how far another manager's clock may be ahead of this one's.
	skew = 5 * time.Minute
)

// Aside says that another host uses an address. The zero value: nobody is known to.
type Aside struct {
	MAC   string // of the card that uses it, in lower-case colon form
	Since int64  // Unix seconds
}

// Left is how long the rest of an address goes on; not positive: it is over. A time that
// lies ahead by more than clocks differ is a wrong one, and ends the rest.
func (a Aside) Left(rest time.Duration, now int64) time.Duration {
	passed := time.Duration(now-a.Since) * time.Second
	if passed < -skew || passed > rest {
		return 0
	}
	return rest - passed
}

// SetAside tells whether the claim keeps an address from everybody.
func (c Claim) SetAside() bool { return c.Aside != (Aside{}) && c.Service == (Service{}) }

// Yielded tells whether the claim is of a Service that does not announce it for now.
func (c Claim) Yielded() bool { return c.Aside != (Aside{}) && c.Service != (Service{}) }

// Contest is a host that was heard to use an address of the Service.
type Contest struct {
	Address  netip.Addr
	MAC      string // in lower-case colon form
	Reporter string // the node that heard it, in words
	// InUse: the address was found free once, or is spoken for already. Then only a pool that
	// yields gives it up.
	InUse bool
}

// Replacement is a claim that is to be set aside, and what the Service gets for it.
type Replacement struct {
	Contest
	Was   Claim
	Aside Claim // the claim as it is to be
	By    netip.Addr
}

// Pause is a claim whose address is not to be announced for a while.
type Pause struct {
	Contest
	Was     Claim
	Yielded Claim // the claim as it is to be
}

// answer says what follows from a contest.
type answer uint8

const (
	leave   answer = iota // it is told, and no more
	replace               // the Service gets another address
	yield                 // the Service keeps the address and does not announce it for a while
)

// contest finds the contest of a claim, and what follows from it.
func (q *question) contest(c Claim) (Contest, answer) {
	i := slices.IndexFunc(q.Contested, func(t Contest) bool { return t.Address == c.Address })
	if i < 0 {
		return Contest{}, leave
	}
	t := q.Contested[i]
	asked := c.Adopted || q.wanted[FamilyOf(c.Address)] == c.Address
	p := q.pools.Get(c.Pool)
	switch {
	case t.InUse && (p == nil || !p.Yields), !t.InUse && asked:
		return t, leave
	case asked && c.Yielded():
		return t, leave
	case asked:
		return t, yield
	}
	return t, replace
}

// contested tells whether anybody else uses an address of the Service.
func (q *question) contested(a netip.Addr) bool {
	return slices.ContainsFunc(q.Contested, func(t Contest) bool { return t.Address == a })
}

// refuseAside says why an address is not set aside although another host uses it; nil when
// it may be. also are those that are to be set aside along with it.
func (q *question) refuseAside(c Claim, t Contest, also []Replacement) *Refusal {
	var sameMAC, samePool []netip.Addr
	count := func(o Claim) {
		if o.Aside.MAC == t.MAC {
			sameMAC = append(sameMAC, o.Address)
		}
		if o.Pool == c.Pool && FamilyOf(o.Address) == FamilyOf(c.Address) {
			samePool = append(samePool, o.Address)
		}
	}
	for _, o := range q.ledger.aside {
		count(o)
	}
	for _, r := range also {
		count(r.Aside)
	}
	if len(sameMAC) >= maxPerMAC {
		slices.SortFunc(sameMAC, netip.Addr.Compare)
		texts := make([]string, 0, len(sameMAC))
		for _, a := range sameMAC {
			texts = append(texts, a.String())
		}
		return refuse(Contested,
			"the Service keeps it. A host that answers for so many is a router with proxy ARP, or another load balancer: switch that off there, or take these addresses out of the pool",
			"%s is used by another host, %s, and so are %s, which are set aside for it", t.Address, t.MAC, strings.Join(texts, ", "))
	}
	p := q.pools.Get(c.Pool)
	if p == nil {
		return nil
	}
	limit := p.Capacity(FamilyOf(c.Address)) / 2
	if int64(len(samePool)) >= min(limit, maxPerPool) {
		return refuse(Contested,
			"the Service keeps it. Exclude from the pool what other hosts use: kubectl get ipaddresses -l arpeggio.dev/set-aside",
			"%s is used by another host, %s, and %d of %d addresses of VIPPool %s are set aside already, which is as many as may be", t.Address, t.MAC, len(samePool), p.Capacity(FamilyOf(c.Address)), p.Name)
	}
	return nil
}

// refuseNoOther says that a contested address stays because there is no other.
func refuseNoOther(t Contest, why *Refusal) *Refusal {
	return &Refusal{Reason: Contested, Remedy: why.Remedy,
		Problem: fmt.Sprintf("%s is used by another host, %s, and the Service keeps it as there is no other: %s", t.Address, t.MAC, why.Problem)}
}

// setAside prepares the replacement of a claim.
func (q *question) setAside(c Claim, t Contest, by netip.Addr) Replacement {
	aside := c
	aside.Service, aside.UID, aside.Adopted = Service{}, "", false
	aside.Aside = Aside{MAC: t.MAC, Since: q.Now}
	return Replacement{Contest: t, Was: c, Aside: aside, By: by}
}

// pause prepares the pause of a claim.
func (q *question) pause(c Claim, t Contest) Pause {
	yielded := c
	yielded.Aside = Aside{MAC: t.MAC, Since: q.Now}
	return Pause{Contest: t, Was: c, Yielded: yielded}
}

// refuseRequestedAside says that a requested address is set aside.
func refuseRequestedAside(c Claim) *Refusal {
	return refuse(Taken, fmt.Sprintf("request another one, or none to get a free one; when that host is gone, kubectl delete ipaddress %s frees it at once", c.Address),
		"requested address %s is taken by %s", c.Address, c.holder())
}
