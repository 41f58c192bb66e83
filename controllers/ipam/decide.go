// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Request is what a Service asks for and what it shows.
type Request struct {
	Service Service
	// Families the Service wants addresses of, in its order: one or two.
	Families []Family
	// OneIsEnough: of two families one will do (PreferDualStack).
	OneIsEnough bool
	// Addresses that are asked for, separated by commas; empty: any. AskedBy names the
	// field or annotation, for messages.
	Addresses, AskedBy string
	// Pool that is asked for by name; empty: any that matches.
	Pool string
	// Shown are the addresses in the Service's status.
	Shown []netip.Addr
	// Contested are the addresses of the Service that other hosts were heard to use. Now is
	// the time at which they are set aside, in Unix seconds.
	Contested []Contest
	Now       int64
	// Selects tells whether the selectors of a pool match the Service.
	Selects func(pool string) bool
}

// Decision is what becomes of the addresses of a Service.
type Decision struct {
	// Keep are claims that stay.
	Keep []Claim
	// Take are addresses to be claimed, each with its pool.
	Take []Claim
	// Release are claims to be given up once those to be taken stand.
	Release []Claim
	// SetAside are claims to be set aside before the Service shows what it gets instead.
	SetAside []Replacement
	// Pause are claims, all of them in Keep too, that are not to be announced for a while.
	Pause []Pause
	// Refusal says why the Service does not get all it asks for; nil when it does.
	Refusal *Refusal
}

// Addresses are those that the Service has when the decision is carried out, in the
// order of the families.
func (d Decision) Addresses(families []Family) []Claim {
	var all []Claim
	for _, f := range families {
		for _, c := range slices.Concat(d.Keep, d.Take) {
			if FamilyOf(c.Address) == f {
				all = append(all, c)
			}
		}
	}
	return all
}

// question is a request with all that is needed to answer it.
type question struct {
	Request
	pools  Pools
	ledger *Ledger
	wanted map[Family]netip.Addr
}

// Decide says what becomes of the addresses of a Service: what it has stays, unless it
// asks for something else that can be had; what it lacks is chosen from what it asks for,
// else from the pools that match it, by priority.
//
// RequireDualStack is all or nothing for a Service that has nothing yet; a requested
// address that cannot be had is a refusal under every policy, because its user counts on
// just that one.
func Decide(r Request, pools Pools, ledger *Ledger) Decision {
	q := &question{Request: r, pools: pools, ledger: ledger}
	has := ledger.Of(r.Service)
	if refusal := q.readAddresses(); refusal != nil {
		return Decision{Keep: q.ofFamilies(has), Release: q.notOfFamilies(has), Refusal: refusal}
	}
	d := Decision{Release: q.notOfFamilies(has)}
	var refused []*Refusal
	strict := !r.OneIsEnough
	for _, f := range r.Families {
		if refusal := q.decideFamily(f, has, &d); refusal != nil {
			refused = append(refused, refusal)
			_, asked := q.wanted[f]
			strict = strict || asked || refusal.Reason == Contested
		}
	}
	if len(refused) > 0 && (strict || len(d.Keep)+len(d.Take) == 0) {
		d.Refusal = refused[0]
		for _, o := range refused[1:] {
			d.Refusal = joined(d.Refusal, o)
		}
		if len(q.ofFamilies(has)) == 0 {
			d.Take = nil
		}
	}
	return d
}

// readAddresses parses the addresses that are asked for.
func (q *question) readAddresses() *Refusal {
	q.wanted = map[Family]netip.Addr{}
	for text := range strings.SplitSeq(q.Addresses, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		a, f := parseAddr(text)
		if f != nil {
			if f.remedy == howToWrite {
				f.remedy = "write one address per family, separated by a comma (192.168.1.240 or 192.168.1.240,fd00:1::f0)"
			}
			return refuse(BadRequest, f.remedy, "%s %q: %s", q.AskedBy, q.Addresses, f.problem)
		}
		family := FamilyOf(a)
		if other, ok := q.wanted[family]; ok && other != a {
			return refuse(BadRequest, "ask for at most one of each family", "%s asks for two %s addresses, %s and %s", q.AskedBy, family, other, a)
		}
		if !slices.Contains(q.Families, family) {
			return refuse(WrongFamily, fmt.Sprintf("ask for an %s address, or change spec.ipFamilies and spec.ipFamilyPolicy", q.Families[0]),
				"requested address %s is %s, and the Service is %s only", a, family, q.Families[0])
		}
		q.wanted[family] = a
	}
	return nil
}

// decideFamily adds to a decision what becomes of the addresses of one family.
func (q *question) decideFamily(f Family, has []Claim, d *Decision) *Refusal {
	var mine []Claim
	for _, c := range has {
		if FamilyOf(c.Address) == f {
			mine = append(mine, c)
		}
	}
	// What the Service shows comes first: of two claims, that is the one in use.
	slices.SortStableFunc(mine, func(a, b Claim) int {
		return q.rankShown(a.Address) - q.rankShown(b.Address)
	})
	without := func(c Claim) []Claim {
		return slices.DeleteFunc(slices.Clone(mine), func(o Claim) bool { return o.Address == c.Address })
	}
	for _, c := range mine {
		if !q.fits(f, c) {
			continue
		}
		t, answer := q.contest(c)
		if answer == replace {
			return q.replace(f, c, t, without(c), d)
		}
		if answer == yield {
			d.Pause = append(d.Pause, q.pause(c, t))
		}
		d.Keep = append(d.Keep, c)
		d.Release = append(d.Release, without(c)...)
		return nil
	}
	chosen, refusal := q.choose(f)
	switch {
	case refusal == nil:
		d.Take = append(d.Take, chosen)
		d.Release = append(d.Release, mine...)
	case len(mine) > 0: // better the address it has than none
		d.Keep = append(d.Keep, mine[0])
		d.Release = append(d.Release, mine[1:]...)
	}
	return refusal
}

// replace gives the Service another address for one that another host uses, if that may be
// set aside and there is another. others are what the Service has besides: of a change that
// was broken off, the address it was to get may be there already.
func (q *question) replace(f Family, c Claim, t Contest, others []Claim, d *Decision) *Refusal {
	refusal := q.refuseAside(c, t, d.SetAside)
	for i, o := range others {
		if refusal == nil && q.fits(f, o) && !q.contested(o.Address) {
			d.Keep = append(d.Keep, o)
			d.SetAside = append(d.SetAside, q.setAside(c, t, o.Address))
			d.Release = append(d.Release, slices.Delete(others, i, i+1)...)
			return nil
		}
	}
	d.Release = append(d.Release, others...)
	if refusal == nil {
		chosen, none := q.choose(f)
		if none == nil {
			d.Take = append(d.Take, chosen)
			d.SetAside = append(d.SetAside, q.setAside(c, t, chosen.Address))
			return nil
		}
		refusal = refuseNoOther(t, none)
	}
	d.Keep = append(d.Keep, c)
	return refusal
}

// rankShown orders addresses of the Service: shown ones first.
func (q *question) rankShown(a netip.Addr) int {
	if slices.Contains(q.Shown, a) {
		return 0
	}
	return 1
}

// fits tells whether a claim is what the Service asks for.
func (q *question) fits(f Family, c Claim) bool {
	if want, ok := q.wanted[f]; ok {
		return c.Address == want
	}
	if q.Pool == "" || c.Pool == q.Pool {
		return true
	}
	p := q.pools.Get(q.Pool)
	return p != nil && p.Holds(c.Address)
}

// choose finds an address of a family to be claimed.
func (q *question) choose(f Family) (Claim, *Refusal) {
	if want, ok := q.wanted[f]; ok {
		return q.chooseAddress(want)
	}
	if c, ok := q.adopt(f); ok {
		return c, nil
	}
	if q.Pool != "" {
		return q.choosePool(f)
	}
	return q.chooseAny(f)
}

// claim is the claim of this Service for an address of a pool.
func (q *question) claim(a netip.Addr, p *Pool) Claim {
	return Claim{Address: a, Pool: p.Name, Service: q.Service}
}

// adopt finds an address that the Service shows and that a pool holds: it was there before
// Arpeggio, or its claim was lost. Neither selectors nor a drained pool stand against it.
func (q *question) adopt(f Family) (Claim, bool) {
	for _, a := range q.Shown {
		if FamilyOf(a) != f || q.ledger.heldAgainst(a, q.Service) != "" || q.contested(a) {
			continue
		}
		for _, p := range q.pools.list {
			if p.Holds(a) && (q.Pool == "" || q.Pool == p.Name) && !p.reserved(a) {
				c := q.claim(a, p)
				c.Adopted = true
				return c, true
			}
		}
	}
	return Claim{}, false
}

// reserved tells whether the address can be nobody's VIP.
func (p *Pool) reserved(a netip.Addr) bool {
	return slices.ContainsFunc(p.Overlaps, func(o Overlap) bool { return o.Kind != OverlapPool && o.Common.Contains(a) })
}

// chooseAddress answers the request for one address.
func (q *question) chooseAddress(a netip.Addr) (Claim, *Refusal) {
	var in *Pool
	for _, p := range q.pools.list {
		if p.Holds(a) && (in == nil || p.Name == q.Pool) {
			in = p
		}
	}
	switch {
	case in == nil:
		return Claim{}, q.refuseOutside(a)
	case q.Pool != "" && in.Name != q.Pool:
		return Claim{}, refuse(OutsidePools, "ask for an address of that pool, or for the pool "+in.Name,
			"requested address %s is not in the requested VIPPool %s", a, q.Pool)
	}
	if c, _ := q.ledger.Get(a); c.SetAside() {
		return Claim{}, refuseRequestedAside(c)
	}
	if holder := q.ledger.heldAgainst(a, q.Service); holder != "" {
		return Claim{}, refuse(Taken, "request another one, or none to get a free one", "requested address %s is taken by %s", a, holder)
	}
	if slices.Contains(q.Shown, a) && !in.reserved(a) {
		c := q.claim(a, in)
		c.Adopted = true
		return c, nil
	}
	if refusal := q.refusePool(in); refusal != nil {
		return Claim{}, refusal
	}
	if refusal := refuseAddress(in, a); refusal != nil {
		return Claim{}, refusal
	}
	return q.claim(a, in), nil
}

// refuseOutside says that no pool holds the requested address.
func (q *question) refuseOutside(a netip.Addr) *Refusal {
	for _, p := range q.pools.list {
		if p.entries.Contains(a) {
			return refuse(NotHandedOut, "request another address, or take it out of spec.exclude", "requested address %s is excluded by VIPPool %s", a, p.Name)
		}
	}
	known := describe(q.pools.list)
	if known == "" {
		return refuse(OutsidePools, "create a VIPPool that holds it", "requested address %s is in no VIPPool, and there is none", a)
	}
	return refuse(OutsidePools, "request one of "+known+", or add it to a pool", "requested address %s is in no VIPPool", a)
}

// choosePool answers the request for any address of one pool.
func (q *question) choosePool(f Family) (Claim, *Refusal) {
	p := q.pools.Get(q.Pool)
	if p == nil {
		names := make([]string, 0, len(q.pools.list))
		for _, o := range q.pools.list {
			names = append(names, o.Name)
		}
		slices.Sort(names)
		remedy := "create it"
		if len(names) > 0 {
			remedy += ", or ask for one of " + strings.Join(names[:min(len(names), 5)], ", ")
		}
		return Claim{}, refuse(PoolUnknown, remedy, "there is no VIPPool %q", q.Pool)
	}
	if refusal := q.refusePool(p); refusal != nil {
		return Claim{}, refusal
	}
	if a, ok := p.free(f, q.ledger); ok {
		return q.claim(a, p), nil
	}
	return Claim{}, q.refuseEmpty(p, f)
}

// refuseEmpty says that a pool has no address of a family left, or never had one.
func (q *question) refuseEmpty(p *Pool, f Family) *Refusal {
	if !p.Has(f) {
		return refuse(WrongFamily, fmt.Sprintf("add %s addresses to the pool, or change spec.ipFamilies of the Service", f), "VIPPool %s has no %s addresses", p.Name, f)
	}
	aside := ""
	if n := q.ledger.setAside(p.Name, f); n > 0 {
		aside = fmt.Sprintf(", %d set aside because other hosts use them", n)
	}
	return refuse(PoolExhausted, "add addresses to the pool, or delete Services that no longer need theirs",
		"VIPPool %s has no %s address left (%d may be handed out%s)", p.Name, f, p.Capacity(f), aside)
}

// chooseAny takes an address from the first pool that matches and has one.
func (q *question) chooseAny(f Family) (Claim, *Refusal) {
	var whyNot []*Refusal
	for _, p := range q.pools.list {
		refusal := q.refusePool(p)
		if refusal == nil && p.OnRequestOnly {
			refusal = refuse(NoPool, fmt.Sprintf("name the pool in the annotation arpeggio.dev/pool: %s", p.Name), "VIPPool %s gives addresses on request only (autoAssign: Disabled)", p.Name)
		}
		if refusal == nil {
			if a, ok := p.free(f, q.ledger); ok {
				return q.claim(a, p), nil
			}
			refusal = q.refuseEmpty(p, f)
		}
		whyNot = append(whyNot, refusal)
	}
	switch len(whyNot) {
	case 0:
		return Claim{}, refuse(NoPool, "create one with the addresses that may be used", "there is no VIPPool")
	case 1:
		return Claim{}, whyNot[0]
	}
	problems := make([]string, 0, 4)
	for i, r := range whyNot {
		if i == 4 {
			problems = append(problems, fmt.Sprintf("and %d more", len(whyNot)-i))
			break
		}
		problems = append(problems, r.Problem)
	}
	return Claim{}, refuse(whyNot[0].Reason, "add addresses to a pool that matches, or create one", "no VIPPool gives an %s address: %s", f, strings.Join(problems, "; "))
}

// ofFamilies are the claims that the Service may keep although its wish cannot be read.
func (q *question) ofFamilies(has []Claim) []Claim {
	return slices.DeleteFunc(slices.Clone(has), func(c Claim) bool { return !slices.Contains(q.Families, FamilyOf(c.Address)) })
}

// notOfFamilies are the claims of families that the Service no longer has.
func (q *question) notOfFamilies(has []Claim) []Claim {
	return slices.DeleteFunc(slices.Clone(has), func(c Claim) bool { return slices.Contains(q.Families, FamilyOf(c.Address)) })
}
