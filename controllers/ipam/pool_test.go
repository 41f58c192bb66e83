// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
)

// enumerate lists what a pool hands out, one after the other.
func enumerate(p *Pool, f Family) []string {
	l := NewLedger()
	var all []string
	for {
		a, ok := p.free(f, l)
		if !ok {
			return all
		}
		all = append(all, a.String())
		l.Put(Claim{Address: a, Pool: p.Name})
	}
}

func TestWhatAPoolHandsOut(t *testing.T) {
	for _, tc := range []struct {
		name        string
		spec        PoolSpec
		first, last string
		n           int64
	}{
		{"network and broadcast are avoided", PoolSpec{Addresses: []string{"192.168.1.64/29"}}, "192.168.1.65", "192.168.1.70", 6},
		{"or used", PoolSpec{Addresses: []string{"192.168.1.64/29"}, UseEdges: true}, "192.168.1.64", "192.168.1.71", 8},
		{"two addresses have no edges", PoolSpec{Addresses: []string{"192.168.1.64/31"}}, "192.168.1.64", "192.168.1.65", 2},
		{".0 and .255 in the middle of a range", PoolSpec{Addresses: []string{"10.0.0.254-10.0.1.1"}}, "10.0.0.254", "10.0.1.1", 2},
		{".0 and .255 written alone", PoolSpec{Addresses: []string{"10.0.0.254-10.0.1.1", "10.0.0.255", "10.0.1.0/32"}}, "10.0.0.254", "10.0.1.1", 4},
		{"the subnet router of IPv6", PoolSpec{Addresses: []string{"fd00::f0/124"}}, "fd00::f1", "fd00::ff", 15},
		{"an IPv6 range has no edges", PoolSpec{Addresses: []string{"fd00::f0-fd00::ff"}}, "fd00::f0", "fd00::ff", 16},
		{"excluded", PoolSpec{Addresses: []string{"10.0.0.1-10.0.0.9"}, Exclude: []string{"10.0.0.0/30", "10.0.0.9"}}, "10.0.0.4", "10.0.0.8", 5},
		{"written twice", PoolSpec{Addresses: []string{"10.0.0.1-10.0.0.5", "10.0.0.3-10.0.0.9", "10.0.0.4"}}, "10.0.0.1", "10.0.0.9", 9},
		{"large", PoolSpec{Addresses: []string{"10.0.0.0/20"}}, "10.0.0.1", "10.0.15.254", 16 * 254},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.spec.Name = "lan"
			p := NewPools([]PoolSpec{tc.spec}, Reserved{}).Get("lan")
			f := FamilyOf(netip.MustParseAddr(tc.first))
			all := enumerate(p, f)
			if len(all) == 0 || all[0] != tc.first || all[len(all)-1] != tc.last || int64(len(all)) != tc.n {
				t.Errorf("%d addresses: %v", len(all), all[:min(len(all), 20)])
			}
			if p.Capacity(f) != tc.n || p.Available(f, NewLedger()) != tc.n {
				t.Errorf("capacity %d, available %d, want %d", p.Capacity(f), p.Available(f, NewLedger()), tc.n)
			}
		})
	}
}

func TestOverlapsAreNeverHandedOut(t *testing.T) {
	specs := []PoolSpec{
		{Name: "a", Addresses: []string{"10.0.0.1-10.0.0.6", "10.96.0.1-10.96.0.2", "fd00::/64"}},
		{Name: "b", Addresses: []string{"10.0.0.5-10.0.0.8"}, Priority: 1},
		{Name: "broken", Addresses: []string{"10.0.0.1", "10.0.0.9-10.0.0.1"}},
	}
	reserved := Reserved{
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		Nodes:        []NodeAddress{{"n1", netip.MustParseAddr("10.0.0.2")}},
	}
	for range 2 { // the order of the pools does not matter
		ps := NewPools(specs, reserved)
		if got := fmt.Sprint(enumerate(ps.Get("a"), IPv4), enumerate(ps.Get("b"), IPv4), enumerate(ps.Get("broken"), IPv4)); got != "[10.0.0.1 10.0.0.3 10.0.0.4] [10.0.0.7 10.0.0.8] []" {
			t.Error(got)
		}
		if got := ps.Get("a").Overlaps; len(got) != 3 || got[0].Other != "b" || got[0].Common.String() != "10.0.0.5-10.0.0.6" ||
			got[1].Kind != OverlapServiceCIDR || got[2].Other != "n1" {
			t.Errorf("%+v", got)
		}
		if ps.Get("a").Capacity(IPv6) != math.MaxInt64 {
			t.Error(ps.Get("a").Capacity(IPv6))
		}
		slices.Reverse(specs)
	}
}

func TestAvailableIgnoresWhatIsNotHandable(t *testing.T) {
	ps := NewPools([]PoolSpec{{Name: "a", Addresses: []string{"10.0.0.250-10.0.1.5"}, Exclude: []string{"10.0.0.251"}}}, Reserved{})
	l := NewLedger()
	for _, a := range []string{"10.0.0.250", "10.0.0.251", "10.0.0.255", "10.0.1.0", "10.9.9.9", "fd00::1"} {
		l.Put(Claim{Address: netip.MustParseAddr(a), Pool: "a"})
	}
	p := ps.Get("a")
	l.Put(Claim{Address: netip.MustParseAddr("10.0.1.1"), Pool: "a", Aside: Aside{MAC: "02:00:00:00:00:99"}})
	v4, v6 := l.Tallies("a")
	if p.Capacity(IPv4) != 9 || p.Available(IPv4, l) != 7 || v4 != (Tally{Allocated: 5, SetAside: 1}) || v6 != (Tally{Allocated: 1}) {
		t.Errorf("capacity %d, available %d, given %+v and %+v", p.Capacity(IPv4), p.Available(IPv4, l), v4, v6)
	}
}

// BenchmarkFree: an address out of a large pool of which ten thousand are taken.
func BenchmarkFree(b *testing.B) {
	ps := NewPools([]PoolSpec{{Name: "a", Addresses: []string{"10.0.0.0/8", "fd00::/64"}}}, Reserved{})
	l := NewLedger()
	for range 10_000 {
		a, _ := ps.Get("a").free(IPv4, l)
		l.Put(Claim{Address: a, Pool: "a"})
	}
	for b.Loop() {
		if _, ok := ps.Get("a").free(IPv4, l); !ok {
			b.Fatal("none")
		}
	}
}
