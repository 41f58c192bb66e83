// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Service names a Service.
type Service struct {
	Namespace, Name string
}

// String is "namespace/name".
func (s Service) String() string { return s.Namespace + "/" + s.Name }

// compare orders Services by namespace and name.
func (s Service) compare(o Service) int {
	return cmp.Or(cmp.Compare(s.Namespace, o.Namespace), cmp.Compare(s.Name, o.Name))
}

// Claim is an address that somebody has.
type Claim struct {
	Address netip.Addr
	Pool    string
	Service Service // the zero value: not ours
	UID     string  // of the Service
	ID      string  // of the object that is the claim; empty while it is being created
	Foreign string  // whose it is, in words, when it is not ours
	Adopted bool    // the Service showed it before it was claimed
	Aside   Aside   // another host uses it
	Created int64   // when it was claimed, in Unix seconds; 0: not known
}

// holder says in words whose the claim is.
func (c Claim) holder() string {
	if c.SetAside() {
		return fmt.Sprintf("another host (%s), and set aside for an hour since it was heard", c.Aside.MAC)
	}
	if c.Foreign != "" {
		return c.Foreign
	}
	return "Service " + c.Service.String()
}

// Showing is the addresses in the status of a Service, whoever wrote them there.
type Showing struct {
	Service Service
	Created int64 // when the Service was created, in any unit; the older one goes first
	Addrs   []netip.Addr
}

// Ledger is what is known of who has which address. It is not safe for concurrent use.
//
// An address is taken while there is a claim for it or while a Service shows it in its
// status: so an address found at the time of installation is not given to somebody else
// before its Service has been looked at.
type Ledger struct {
	taken  Set
	claims map[netip.Addr]Claim
	aside  map[netip.Addr]Claim     // those of claims that keep an address from everybody
	of     map[Service][]netip.Addr // claims, in order
	shows  map[Service]Showing
	shown  map[netip.Addr][]Showing // the oldest first
}

// NewLedger gives an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{
		claims: map[netip.Addr]Claim{},
		aside:  map[netip.Addr]Claim{},
		of:     map[Service][]netip.Addr{},
		shows:  map[Service]Showing{},
		shown:  map[netip.Addr][]Showing{},
	}
}

// Put notes a claim, in place of an earlier one for the same address. It gives the
// earlier one's Service when that was another.
func (l *Ledger) Put(c Claim) (was Service, changed bool) {
	old, had := l.claims[c.Address]
	if had && old.Service != c.Service {
		l.disown(old)
	}
	l.claims[c.Address] = c
	delete(l.aside, c.Address)
	if c.SetAside() {
		l.aside[c.Address] = c
	}
	l.taken.Add(One(c.Address))
	if c.Service != (Service{}) && (!had || old.Service != c.Service) {
		l.of[c.Service] = append(l.of[c.Service], c.Address)
		slices.SortFunc(l.of[c.Service], netip.Addr.Compare)
	}
	return old.Service, !had || old != c
}

// Drop forgets the claim for an address if it is the one with this ID, and tells whether
// it was.
func (l *Ledger) Drop(a netip.Addr, id string) bool {
	c, ok := l.claims[a]
	if !ok || c.ID != id {
		return false
	}
	delete(l.claims, a)
	delete(l.aside, a)
	l.disown(c)
	l.settle(a)
	return true
}

// disown takes an address out of what its Service has.
func (l *Ledger) disown(c Claim) {
	rest := slices.DeleteFunc(l.of[c.Service], func(a netip.Addr) bool { return a == c.Address })
	if len(rest) == 0 {
		delete(l.of, c.Service)
		return
	}
	l.of[c.Service] = rest
}

// Show notes the addresses in the status of a Service, in place of what it showed before.
// It tells whether addresses became free.
func (l *Ledger) Show(s Showing) (freed bool) {
	for _, a := range l.shows[s.Service].Addrs {
		rest := slices.DeleteFunc(l.shown[a], func(o Showing) bool { return o.Service == s.Service })
		if len(rest) == 0 {
			delete(l.shown, a)
		} else {
			l.shown[a] = rest
		}
		if !slices.Contains(s.Addrs, a) {
			freed = l.settle(a) || freed
		}
	}
	if len(s.Addrs) == 0 {
		delete(l.shows, s.Service)
		return freed
	}
	l.shows[s.Service] = s
	for _, a := range s.Addrs {
		l.shown[a] = append(l.shown[a], s)
		slices.SortFunc(l.shown[a], func(x, y Showing) int {
			return cmp.Or(cmp.Compare(x.Created, y.Created), x.Service.compare(y.Service))
		})
		l.taken.Add(One(a))
	}
	return freed
}

// settle makes an address free if nobody has it any more.
func (l *Ledger) settle(a netip.Addr) bool {
	if _, ok := l.claims[a]; ok || len(l.shown[a]) > 0 {
		return false
	}
	l.taken.Remove(One(a))
	return true
}

// Of gives the claims of a Service, in the order of their addresses.
func (l *Ledger) Of(s Service) []Claim {
	claims := make([]Claim, 0, len(l.of[s]))
	for _, a := range l.of[s] {
		claims = append(claims, l.claims[a])
	}
	return claims
}

// Get gives the claim for an address.
func (l *Ledger) Get(a netip.Addr) (Claim, bool) {
	c, ok := l.claims[a]
	return c, ok
}

// Tally counts claims of one family.
type Tally struct {
	Allocated int64 // that Services have
	SetAside  int64 // that keep addresses from everybody
}

// Tallies counts the claims that were taken from a pool, whether it still holds them or not.
func (l *Ledger) Tallies(pool string) (v4, v6 Tally) {
	for c := range maps.Values(l.claims) {
		if c.Pool != pool {
			continue
		}
		t := &v4
		if c.Address.Is6() {
			t = &v6
		}
		if c.SetAside() {
			t.SetAside++
		} else {
			t.Allocated++
		}
	}
	return v4, v6
}

// setAside counts the addresses of a family that were set aside from a pool.
func (l *Ledger) setAside(pool string, f Family) int {
	n := 0
	for _, c := range l.aside {
		if c.Pool == pool && FamilyOf(c.Address) == f {
			n++
		}
	}
	return n
}

// heldAgainst says in words who has an address that a Service would like; nothing when it
// may have it.
func (l *Ledger) heldAgainst(a netip.Addr, s Service) string {
	if c, ok := l.claims[a]; ok {
		if c.Service == s {
			return ""
		}
		return c.holder()
	}
	if shown := l.shown[a]; len(shown) > 0 && shown[0].Service != s {
		return "Service " + shown[0].Service.String()
	}
	return ""
}
