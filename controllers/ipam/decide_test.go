// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	v4     = []Family{IPv4}
	v6     = []Family{IPv6}
	v4v6   = []Family{IPv4, IPv6}
	v6v4   = []Family{IPv6, IPv4}
	web    = Service{"shop", "web"}
	others = Service{"shop", "db"}
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// said writes a decision down: what is kept, taken and released.
func said(d Decision) string {
	list := func(mark string, claims []Claim) (out []string) {
		for _, c := range claims {
			out = append(out, mark+c.Address.String()+"@"+c.Pool)
		}
		return out
	}
	return strings.Join(slices.Concat(list("=", d.Keep), list("+", d.Take), list("-", d.Release)), " ")
}

func TestDecide(t *testing.T) {
	lan := PoolSpec{Name: "lan", Addresses: []string{"10.0.0.10-10.0.0.12", "fd00::10-fd00::12"}}
	first := PoolSpec{Name: "first", Addresses: []string{"10.0.1.10-10.0.1.11"}, Priority: 5}
	spare := PoolSpec{Name: "spare", Addresses: []string{"10.0.2.10"}, OnRequestOnly: true, Priority: 9}
	dry := PoolSpec{Name: "dry", Addresses: []string{"10.0.3.10"}, Drained: true}
	private := PoolSpec{Name: "private", Addresses: []string{"10.0.4.10"}}
	broken := PoolSpec{Name: "broken", Addresses: []string{"10.0.9.9-10.0.9.1"}}
	all := []PoolSpec{lan, first, spare, dry, private, broken}
	mine := func(a, pool string) Claim {
		return Claim{Address: netip.MustParseAddr(a), Pool: pool, Service: web, ID: "x"}
	}
	theirs := func(a string) Claim {
		return Claim{Address: netip.MustParseAddr(a), Pool: "lan", Service: others, ID: "y"}
	}
	for _, tc := range []struct {
		name   string
		pools  []PoolSpec
		r      Request
		has    []Claim
		shown  []Showing
		want   string
		refuse Reason
		parts  []string // of the refusal
	}{
		{name: "the pool of the highest priority", pools: all, r: Request{Families: v4}, want: "+10.0.1.10@first"},
		{name: "the next when it is used up", pools: all, r: Request{Families: v4}, has: []Claim{theirs("10.0.1.10"), theirs("10.0.1.11")}, want: "+10.0.0.10@lan"},
		{name: "equal priority: by name", pools: []PoolSpec{lan, {Name: "alpha", Addresses: []string{"10.9.0.1"}}}, r: Request{Families: v4}, want: "+10.9.0.1@alpha"},
		{name: "both families, from two pools, in the Service's order", pools: all, r: Request{Families: v6v4}, want: "+fd00::10@lan +10.0.1.10@first"},
		{name: "what it has stays", pools: all, r: Request{Families: v4}, has: []Claim{mine("10.0.0.12", "lan")}, want: "=10.0.0.12@lan"},
		{name: "when the pool was edited", pools: all, r: Request{Families: v4}, has: []Claim{mine("10.7.7.7", "lan")}, want: "=10.7.7.7@lan"},
		{name: "when the pool is gone, or drained, or broken", r: Request{Families: v4}, has: []Claim{mine("10.7.7.7", "gone")}, want: "=10.7.7.7@gone"},
		{name: "a second family is added", pools: all, r: Request{Families: v4v6}, has: []Claim{mine("10.0.0.12", "lan")}, want: "=10.0.0.12@lan +fd00::10@lan"},
		{name: "a family is given up", pools: all, r: Request{Families: v6}, has: []Claim{mine("10.0.0.12", "lan"), mine("fd00::11", "lan")}, want: "=fd00::11@lan -10.0.0.12@lan"},
		{name: "of two claims the one in use stays", pools: all, r: Request{Families: v4, Shown: addrs("10.0.0.12")}, has: []Claim{mine("10.0.0.11", "lan"), mine("10.0.0.12", "lan")}, want: "=10.0.0.12@lan -10.0.0.11@lan"},
		{name: "an address found in status is adopted", pools: all, r: Request{Families: v4, Shown: addrs("10.0.0.12")}, want: "+10.0.0.12@lan"},
		{name: "even from a pool that is drained", pools: all, r: Request{Families: v4, Shown: addrs("10.0.3.10")}, want: "+10.0.3.10@dry"},
		{name: "not one that somebody has", pools: []PoolSpec{lan}, r: Request{Families: v4, Shown: addrs("10.0.0.12")}, has: []Claim{theirs("10.0.0.12")}, want: "+10.0.0.10@lan"},
		{name: "of two Services that show it the older one", pools: []PoolSpec{lan}, r: Request{Families: v4, Shown: addrs("10.0.0.10")},
			shown: []Showing{{Service: web, Created: 2, Addrs: addrs("10.0.0.10")}, {Service: others, Created: 1, Addrs: addrs("10.0.0.10")}}, want: "+10.0.0.11@lan"},
		{name: "what others show is not given away", pools: []PoolSpec{lan}, r: Request{Families: v4},
			shown: []Showing{{Service: others, Created: 9, Addrs: addrs("10.0.0.10", "10.0.0.11")}}, want: "+10.0.0.12@lan"},
		{name: "an address no pool holds is not adopted", pools: []PoolSpec{lan}, r: Request{Families: v4, Shown: addrs("10.8.8.8")}, want: "+10.0.0.10@lan"},

		{name: "requested address", pools: all, r: Request{Families: v4, Addresses: "10.0.0.12"}, want: "+10.0.0.12@lan"},
		{name: "on request only", pools: all, r: Request{Families: v4, Addresses: "10.0.2.10"}, want: "+10.0.2.10@spare"},
		{name: "one per family", pools: all, r: Request{Families: v4v6, Addresses: "fd00::12, 10.0.0.12"}, want: "+10.0.0.12@lan +fd00::12@lan"},
		{name: "another than it has", pools: all, r: Request{Families: v4, Addresses: "10.0.0.12"}, has: []Claim{mine("10.0.0.10", "lan")}, want: "+10.0.0.12@lan -10.0.0.10@lan"},
		{name: "another, which is taken: it keeps what it has", pools: all, r: Request{Families: v4, Addresses: "10.0.0.12"}, has: []Claim{mine("10.0.0.10", "lan"), theirs("10.0.0.12")},
			want: "=10.0.0.10@lan", refuse: Taken, parts: []string{"10.0.0.12 is taken by Service shop/db", "request another"}},
		{name: "garbage", pools: all, r: Request{Families: v4, Addresses: "10.0.0", AskedBy: "annotation x"}, refuse: BadRequest, parts: []string{`annotation x "10.0.0"`, "no IP address", "write one address per family"}},
		{name: "garbage: it keeps what it has", pools: all, r: Request{Families: v4, Addresses: "10.0.0"}, has: []Claim{mine("10.0.0.10", "lan")}, want: "=10.0.0.10@lan", refuse: BadRequest},
		{name: "two of one family", pools: all, r: Request{Families: v4, Addresses: "10.0.0.10,10.0.0.11"}, refuse: BadRequest, parts: []string{"two IPv4 addresses, 10.0.0.10 and 10.0.0.11", "at most one of each family"}},
		{name: "of a family the Service has not", pools: all, r: Request{Families: v4, Addresses: "fd00::10"}, refuse: WrongFamily, parts: []string{"fd00::10 is IPv6, and the Service is IPv4 only", "spec.ipFamilies"}},
		{name: "outside every pool", pools: all, r: Request{Families: v4, Addresses: "10.8.8.8"}, refuse: OutsidePools, parts: []string{"10.8.8.8 is in no VIPPool", "spare (10.0.2.10), first (10.0.1.10-10.0.1.11)"}},
		{name: "without any pool", r: Request{Families: v4, Addresses: "10.8.8.8"}, refuse: OutsidePools, parts: []string{"there is none", "create a VIPPool"}},
		{name: "excluded", pools: []PoolSpec{{Name: "p", Addresses: []string{"10.0.0.1-10.0.0.9"}, Exclude: []string{"10.0.0.5"}}}, r: Request{Families: v4, Addresses: "10.0.0.5"}, refuse: NotHandedOut, parts: []string{"excluded by VIPPool p"}},
		{name: "an edge", pools: []PoolSpec{{Name: "p", Addresses: []string{"10.0.0.0/24"}}}, r: Request{Families: v4, Addresses: "10.0.0.255"}, refuse: NotHandedOut, parts: []string{"broadcast", "edgeAddresses: Use"}},
		{name: "in two pools", pools: []PoolSpec{lan, {Name: "p", Addresses: []string{"10.0.0.10"}}}, r: Request{Families: v4, Addresses: "10.0.0.10"}, refuse: NotHandedOut, parts: []string{"in two VIPPools, lan and p", "take it out of one"}},
		{name: "of a drained pool", pools: all, r: Request{Families: v4, Addresses: "10.0.3.10"}, refuse: PoolDrained, parts: []string{"dry", "allocation: Enabled"}},
		{name: "of a pool for others", pools: all, r: Request{Families: v4, Addresses: "10.0.4.10"}, refuse: PoolNotForThis, parts: []string{"private", "serviceSelector"}},
		{name: "not of the requested pool", pools: all, r: Request{Families: v4, Addresses: "10.0.0.10", Pool: "first"}, refuse: OutsidePools, parts: []string{"10.0.0.10 is not in the requested VIPPool first", "the pool lan"}},

		{name: "requested pool", pools: all, r: Request{Families: v4, Pool: "spare"}, want: "+10.0.2.10@spare"},
		{name: "another pool than it has", pools: all, r: Request{Families: v4, Pool: "first"}, has: []Claim{mine("10.0.0.10", "lan")}, want: "+10.0.1.10@first -10.0.0.10@lan"},
		{name: "the request is dropped: it stays", pools: all, r: Request{Families: v4}, has: []Claim{mine("10.0.2.10", "spare")}, want: "=10.0.2.10@spare"},
		{name: "unknown pool", pools: all, r: Request{Families: v4, Pool: "lam"}, refuse: PoolUnknown, parts: []string{`no VIPPool "lam"`, "broken, dry, first, lan, private"}},
		{name: "broken pool", pools: all, r: Request{Families: v4, Pool: "broken"}, refuse: PoolInvalid, parts: []string{"the range is reversed", "correct the pool"}},
		{name: "used up pool", pools: all, r: Request{Families: v4, Pool: "first"}, has: []Claim{theirs("10.0.1.10"), theirs("10.0.1.11")}, refuse: PoolExhausted, parts: []string{"first has no IPv4 address left (2 may be handed out)", "add addresses"}},
		{name: "pool of the other family", pools: all, r: Request{Families: v6, Pool: "first"}, refuse: WrongFamily, parts: []string{"first has no IPv6 addresses"}},
		{name: "drained pool", pools: all, r: Request{Families: v4, Pool: "dry"}, refuse: PoolDrained},

		{name: "no pool at all", r: Request{Families: v4}, refuse: NoPool, parts: []string{"there is no VIPPool", "create one"}},
		{name: "only pools on request", pools: []PoolSpec{spare}, r: Request{Families: v4}, refuse: NoPool, parts: []string{"on request only", "arpeggio.dev/pool: spare"}},
		{name: "no pool that matches", pools: []PoolSpec{private, dry}, r: Request{Families: v4}, refuse: PoolDrained, parts: []string{"VIPPool dry gives no new addresses", "VIPPool private is not for this Service"}},

		{name: "RequireDualStack is all or nothing", pools: []PoolSpec{first}, r: Request{Families: v4v6}, refuse: WrongFamily, parts: []string{"first has no IPv6 addresses"}},
		{name: "but takes nothing away", pools: []PoolSpec{first}, r: Request{Families: v4v6}, has: []Claim{mine("10.0.1.11", "first")}, want: "=10.0.1.11@first", refuse: WrongFamily},
		{name: "PreferDualStack is content with one", pools: []PoolSpec{first}, r: Request{Families: v6v4, OneIsEnough: true}, want: "+10.0.1.10@first"},
		{name: "PreferDualStack takes both", pools: all, r: Request{Families: v4v6, OneIsEnough: true}, want: "+10.0.1.10@first +fd00::10@lan"},
		{name: "not with none", r: Request{Families: v4v6, OneIsEnough: true}, refuse: NoPool},
		{name: "PreferDualStack with a requested address counts on it", pools: all, r: Request{Families: v4v6, OneIsEnough: true, Addresses: "10.8.8.8"}, refuse: OutsidePools},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := NewLedger()
			for _, c := range tc.has {
				l.Put(c)
			}
			for _, s := range tc.shown {
				l.Show(s)
			}
			tc.r.Service = web
			tc.r.Selects = func(pool string) bool { return pool != "private" }
			specs := slices.Clone(tc.pools)
			for range 3 {
				d := Decide(tc.r, NewPools(specs, Reserved{}), l)
				if got := said(d); got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
				switch {
				case tc.refuse == 0 && d.Refusal != nil, tc.refuse != 0 && (d.Refusal == nil || d.Refusal.Reason != tc.refuse):
					t.Fatalf("refusal %+v, want reason %v", d.Refusal, tc.refuse)
				case d.Refusal != nil && (d.Refusal.Problem == "" || d.Refusal.Remedy == ""):
					t.Errorf("refusal %+v does not say all", d.Refusal)
				}
				for _, p := range tc.parts {
					if !strings.Contains(d.Refusal.Error(), p) {
						t.Errorf("refusal %q, want %q in it", d.Refusal.Error(), p)
					}
				}
				rand.Shuffle(len(specs), func(i, j int) { specs[i], specs[j] = specs[j], specs[i] })
			}
		})
	}
}

// FuzzDecide plays Services that come, go and change their minds against pools that do
// too, while other hosts use their addresses. Whatever happens, no address has two owners,
// only handable addresses are newly given, nobody loses an address but for another one or
// because its families changed, at most three are set aside for one card, and a second
// question gets the answer "keep".
func FuzzDecide(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x10\x11\x12"))
	f.Add([]byte("aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQ"))
	f.Add([]byte("\x00\x02\x00\x00\x22\x00\x01\x22\x00\x02\x22\x00\x00\x22\x00\x00\x22\x00\x00\x22\x00\x00\x22\x00"))
	specs := []PoolSpec{
		{Name: "a", Addresses: []string{"10.0.0.250-10.0.1.5", "fd00::/126"}},
		{Name: "b", Addresses: []string{"10.0.1.4-10.0.1.9"}, Priority: 1},
		{Name: "c", Addresses: []string{"fd00::2-fd00::9"}, OnRequestOnly: true},
		{Name: "d", Addresses: []string{"10.0.1.20"}, Drained: true},
	}
	wishes := []string{"", "10.0.1.1", "10.0.1.20", "fd00::8", "10.0.1.5", "x", "10.0.1.1,fd00::8"}
	families := [][]Family{v4, v6, v4v6, v6v4}
	f.Fuzz(func(t *testing.T, script []byte) {
		l := NewLedger()
		for ; len(script) >= 3; script = script[3:] {
			present := script[0] >> 4
			var used []PoolSpec
			for i, s := range specs {
				if present>>i&1 == 0 {
					used = append(used, s)
				}
			}
			pools := NewPools(used, Reserved{Nodes: []NodeAddress{{"n", netip.MustParseAddr("10.0.1.2")}}})
			r := Request{
				Service:     Service{"ns", string('a' + rune(script[0]&7))},
				Families:    families[script[1]&3],
				OneIsEnough: script[1]&4 != 0,
				Addresses:   wishes[int(script[2])%len(wishes)],
				Selects:     func(string) bool { return script[1]&8 == 0 },
			}
			if script[1]&16 != 0 {
				r.Pool = []string{"a", "b", "c", "gone"}[script[1]>>6]
			}
			had := l.Of(r.Service)
			if script[1]&32 != 0 {
				for _, c := range had {
					r.Contested = append(r.Contested, Contest{Address: c.Address, MAC: "02:00:00:00:00:0" + string('0'+rune(script[0]&1))})
				}
			}
			d := Decide(r, pools, l)
			for _, c := range had {
				if has := d.Addresses(r.Families); slices.Contains(r.Families, FamilyOf(c.Address)) &&
					!slices.ContainsFunc(has, func(o Claim) bool { return FamilyOf(o.Address) == FamilyOf(c.Address) }) {
					t.Fatalf("%v loses %v: %s", r.Service, c.Address, contests(d))
				}
			}
			if d.Refusal == nil && len(d.Keep)+len(d.Take) == 0 {
				t.Fatal("nothing given, and no reason")
			}
			for _, c := range d.Take {
				if old, taken := l.Get(c.Address); taken {
					t.Fatalf("%v is given to %v and is %v's", c.Address, r.Service, old.Service)
				}
				if p := pools.Get(c.Pool); p == nil || !p.usable.Contains(c.Address) || p.edge(c.Address) || p.Drained {
					t.Fatalf("%v is not to be handed out", c)
				}
				c.ID = "x"
				l.Put(c)
			}
			for _, c := range d.Release {
				l.Drop(c.Address, c.ID)
			}
			for _, s := range d.SetAside {
				l.Put(s.Aside)
			}
			cards := map[string]int{}
			for _, c := range l.aside {
				if cards[c.Aside.MAC]++; cards[c.Aside.MAC] > maxPerMAC {
					t.Fatalf("%d are set aside for %s", cards[c.Aside.MAC], c.Aside.MAC)
				}
			}
			again := Decide(r, pools, l)
			if len(again.Take)+len(again.Release)+len(again.SetAside) != 0 {
				t.Fatalf("asked again: %s, before: %s", contests(again), contests(d))
			}
			seen := map[netip.Addr]Service{}
			for s := range l.of {
				for _, c := range l.Of(s) {
					if o, twice := seen[c.Address]; twice {
						t.Fatalf("%v is %v's and %v's", c.Address, o, s)
					}
					seen[c.Address] = s
				}
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	pools := NewPools([]PoolSpec{{Name: "a", Addresses: []string{"10.0.0.0/8", "fd00::/64"}}}, Reserved{})
	l := NewLedger()
	for n := range 10_000 {
		r := Request{Service: Service{"ns", string(rune(n))}, Families: v4v6, Selects: func(string) bool { return true }}
		for _, c := range Decide(r, pools, l).Take {
			l.Put(c)
		}
	}
	r := Request{Service: Service{"ns", "new"}, Families: v4v6, Selects: func(string) bool { return true }}
	for b.Loop() {
		Decide(r, pools, l)
	}
}
