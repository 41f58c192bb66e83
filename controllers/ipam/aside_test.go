// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	stranger = "02:00:00:00:00:99"
	another  = "02:00:00:00:00:98"
)

// contests writes down what is set aside and what is paused.
func contests(d Decision) string {
	var out []string
	for _, r := range d.SetAside {
		out = append(out, "!"+r.Was.Address.String()+">"+r.By.String())
	}
	for _, p := range d.Pause {
		out = append(out, "~"+p.Was.Address.String())
	}
	return strings.Join(slices.Concat([]string{said(d)}, out), " ")
}

func TestContests(t *testing.T) {
	lan := PoolSpec{Name: "lan", Addresses: []string{"10.0.0.10-10.0.0.19", "fd00::10-fd00::19"}}
	yields := lan
	yields.Yields = true
	tiny := PoolSpec{Name: "tiny", Addresses: []string{"10.0.0.10-10.0.0.12"}}
	one := PoolSpec{Name: "one", Addresses: []string{"10.0.0.10"}}
	mine := func(a string) Claim {
		return Claim{Address: netip.MustParseAddr(a), Pool: "lan", Service: web, UID: "u", ID: a}
	}
	with := func(c Claim, change func(*Claim)) Claim { change(&c); return c }
	adopted := func(c *Claim) { c.Adopted = true }
	yielded := func(c *Claim) { c.Aside = Aside{MAC: stranger, Since: 1} }
	aside := func(a, mac string) Claim {
		return Claim{Address: netip.MustParseAddr(a), Pool: "lan", ID: a, Aside: Aside{MAC: mac, Since: 1}}
	}
	of := func(pool string, c Claim) Claim { c.Pool = pool; return c }
	heard := func(texts ...string) (out []Contest) {
		for _, a := range addrs(texts...) {
			out = append(out, Contest{Address: a, MAC: stranger})
		}
		return out
	}
	inUse := func(texts ...string) []Contest {
		out := heard(texts...)
		for i := range out {
			out[i].InUse = true
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		pool  PoolSpec
		r     Request
		has   []Claim
		want  string
		parts []string // of a refusal of reason Contested
	}{
		{name: "it is replaced", pool: lan, r: Request{Contested: heard("10.0.0.10"), Shown: addrs("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "+10.0.0.11@lan !10.0.0.10>10.0.0.11"},
		{name: "not by one that is set aside", pool: lan, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10"), aside("10.0.0.11", another)}, want: "+10.0.0.12@lan !10.0.0.10>10.0.0.12"},
		{name: "both families", pool: lan, r: Request{Families: v4v6, Contested: heard("10.0.0.10", "fd00::10")}, has: []Claim{mine("10.0.0.10"), mine("fd00::10")},
			want: "+10.0.0.11@lan +fd00::11@lan !10.0.0.10>10.0.0.11 !fd00::10>fd00::11"},
		{name: "one of two families", pool: lan, r: Request{Families: v4v6, Contested: heard("fd00::10")}, has: []Claim{mine("10.0.0.10"), mine("fd00::10")}, want: "=10.0.0.10@lan +fd00::11@lan !fd00::10>fd00::11"},
		{name: "the manager was stopped in between", pool: lan, r: Request{Contested: heard("10.0.0.10"), Shown: addrs("10.0.0.10")}, has: []Claim{mine("10.0.0.10"), mine("10.0.0.13")}, want: "=10.0.0.13@lan !10.0.0.10>10.0.0.13"},
		{name: "an address of somebody else", pool: lan, r: Request{Contested: heard("10.0.0.12")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},

		{name: "asked for", pool: lan, r: Request{Addresses: "10.0.0.10", Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},
		{name: "brought along", pool: lan, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{with(mine("10.0.0.10"), adopted)}, want: "=10.0.0.10@lan"},
		{name: "in use: defended", pool: lan, r: Request{Contested: inUse("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},
		{name: "in use: yielded", pool: yields, r: Request{Contested: inUse("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "+10.0.0.11@lan !10.0.0.10>10.0.0.11"},
		{name: "in use, asked for: defended", pool: lan, r: Request{Addresses: "10.0.0.10", Contested: inUse("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},
		{name: "in use, asked for: paused", pool: yields, r: Request{Addresses: "10.0.0.10", Contested: inUse("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan ~10.0.0.10"},
		{name: "in use, brought along: paused", pool: yields, r: Request{Contested: inUse("10.0.0.10")}, has: []Claim{with(mine("10.0.0.10"), adopted)}, want: "=10.0.0.10@lan ~10.0.0.10"},
		{name: "paused already", pool: yields, r: Request{Addresses: "10.0.0.10", Contested: inUse("10.0.0.10")}, has: []Claim{with(mine("10.0.0.10"), yielded)}, want: "=10.0.0.10@lan"},
		{name: "not in use, asked for, of a pool that yields", pool: yields, r: Request{Addresses: "10.0.0.10", Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},
		{name: "in use, and the pool is gone", pool: one, r: Request{Contested: inUse("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},
		{name: "another is asked for anyway", pool: lan, r: Request{Addresses: "10.0.0.15", Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "+10.0.0.15@lan -10.0.0.10@lan"},
		{name: "what is asked for cannot be read", pool: lan, r: Request{Addresses: "x", Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10")}, want: "=10.0.0.10@lan"},

		{name: "the third for one card", pool: lan, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10"), aside("10.0.0.11", stranger), aside("10.0.0.12", stranger)}, want: "+10.0.0.13@lan !10.0.0.10>10.0.0.13"},
		{name: "the fourth for one card", pool: lan, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10"), aside("10.0.0.13", stranger), aside("10.0.0.11", stranger), aside("10.0.0.12", stranger)},
			want: "=10.0.0.10@lan", parts: []string{"10.0.0.10 is used by another host, " + stranger, "10.0.0.11, 10.0.0.12, 10.0.0.13", "proxy ARP", "the Service keeps it"}},
		{name: "four of four cards", pool: lan, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{mine("10.0.0.10"), aside("10.0.0.13", another), aside("10.0.0.11", another), aside("10.0.0.12", "02:00:00:00:00:97")}, want: "+10.0.0.14@lan !10.0.0.10>10.0.0.14"},
		{name: "the third and fourth at once", pool: lan, r: Request{Families: v4v6, Contested: heard("10.0.0.10", "fd00::10")}, has: []Claim{mine("10.0.0.10"), mine("fd00::10"), aside("10.0.0.11", stranger), aside("10.0.0.12", stranger)},
			want: "=fd00::10@lan +10.0.0.13@lan !10.0.0.10>10.0.0.13", parts: []string{"fd00::10", "10.0.0.10, 10.0.0.11, 10.0.0.12"}},
		{name: "it says so to PreferDualStack too", pool: lan, r: Request{Families: v4v6, OneIsEnough: true, Contested: heard("fd00::10")}, has: []Claim{mine("10.0.0.10"), mine("fd00::10"), aside("10.0.0.11", stranger), aside("10.0.0.12", stranger), aside("10.0.0.13", stranger)},
			want: "=10.0.0.10@lan =fd00::10@lan", parts: []string{"fd00::10"}},
		{name: "half of a pool", pool: tiny, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{of("tiny", mine("10.0.0.10")), of("tiny", aside("10.0.0.12", another))},
			want: "=10.0.0.10@tiny", parts: []string{"1 of 3 addresses of VIPPool tiny", "Exclude from the pool"}},
		{name: "there is no other", pool: tiny, r: Request{Contested: heard("10.0.0.10")}, has: []Claim{of("tiny", mine("10.0.0.10")), of("tiny", Claim{Address: netip.MustParseAddr("10.0.0.11"), Service: others}), of("tiny", Claim{Address: netip.MustParseAddr("10.0.0.12"), Service: others})},
			want: "=10.0.0.10@tiny", parts: []string{"as there is no other: VIPPool tiny has no IPv4 address left", "add addresses"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := NewLedger()
			for _, c := range tc.has {
				l.Put(c)
			}
			tc.r.Service, tc.r.Now = web, 1000
			tc.r.Selects = func(string) bool { return true }
			if tc.r.Families == nil {
				tc.r.Families = v4
			}
			pools := NewPools([]PoolSpec{tc.pool}, Reserved{})
			d := Decide(tc.r, pools, l)
			if got := contests(d); got != tc.want {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
			if len(tc.parts) > 0 && (d.Refusal == nil || d.Refusal.Reason != Contested) {
				t.Fatalf("refusal %+v", d.Refusal)
			}
			for _, p := range tc.parts {
				if !strings.Contains(d.Refusal.Error(), p) {
					t.Errorf("refusal %q, want %q in it", d.Refusal.Error(), p)
				}
			}
			for _, r := range d.SetAside {
				if r.Aside.Service != (Service{}) || r.Aside.Aside != (Aside{MAC: stranger, Since: 1000}) || r.Aside.ID != r.Was.ID || !r.Aside.SetAside() {
					t.Errorf("set aside as %+v", r.Aside)
				}
				l.Put(r.Aside)
			}
			for _, p := range d.Pause {
				if !p.Yielded.Yielded() || p.Yielded.Service != web {
					t.Errorf("paused as %+v", p.Yielded)
				}
				l.Put(p.Yielded)
			}
			for _, c := range d.Take {
				l.Put(c)
			}
			for _, c := range d.Release {
				l.Drop(c.Address, c.ID)
			}
			// The status may go on naming the conflict for a while.
			if again := Decide(tc.r, pools, l); len(again.Take)+len(again.Release)+len(again.SetAside)+len(again.Pause) != 0 {
				t.Errorf("asked again: %s", contests(again))
			}
		})
	}
}

// An address that was set aside is nobody's, for whoever asks for it too, until its claim is
// gone.
func TestSetAsideIsGivenToNobody(t *testing.T) {
	pools := NewPools([]PoolSpec{{Name: "lan", Addresses: []string{"10.0.0.10-10.0.0.11"}}}, Reserved{})
	l := NewLedger()
	c := Claim{Address: netip.MustParseAddr("10.0.0.10"), Pool: "lan", ID: "x", Aside: Aside{MAC: stranger, Since: 1}}
	l.Put(c)
	r := Request{Service: web, Families: v4, Selects: func(string) bool { return true }}
	if got := said(Decide(r, pools, l)); got != "+10.0.0.11@lan" {
		t.Errorf("given %q", got)
	}
	r.Addresses = "10.0.0.10"
	if d := Decide(r, pools, l); d.Refusal == nil || d.Refusal.Reason != Taken || !strings.Contains(d.Refusal.Error(), stranger) || !strings.Contains(d.Refusal.Error(), "kubectl delete ipaddress 10.0.0.10") {
		t.Errorf("asked for: %q %v", said(d), d.Refusal)
	}
	r.Addresses = ""
	l.Put(Claim{Address: netip.MustParseAddr("10.0.0.11"), Pool: "lan", Service: others})
	if d := Decide(r, pools, l); d.Refusal == nil || !strings.Contains(d.Refusal.Error(), "2 may be handed out, 1 set aside because other hosts use them") {
		t.Errorf("used up: %q %v", said(d), d.Refusal)
	}
	l.Drop(c.Address, "x")
	if got := said(Decide(r, pools, l)); got != "+10.0.0.10@lan" {
		t.Errorf("free again: %q", got)
	}
}

// Hosts that answer with ever new MACs, in a pool without end, do not make claims without end.
func TestSetAsideIsBounded(t *testing.T) {
	pools := NewPools([]PoolSpec{{Name: "lan", Addresses: []string{"fd00::/64"}}}, Reserved{})
	l := NewLedger()
	r := Request{Service: web, Families: v6, Selects: func(string) bool { return true }}
	for n := range 1000 {
		d := Decide(r, pools, l)
		for _, c := range d.Take {
			c.ID = "x"
			l.Put(c)
		}
		for _, s := range d.SetAside {
			l.Put(s.Aside)
		}
		has := l.Of(web)
		if len(has) != 1 {
			t.Fatalf("it has %v", has)
		}
		r.Contested = []Contest{{Address: has[0].Address, MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", n/256, n%256)}}
	}
	if n := len(l.aside); n != maxPerPool {
		t.Errorf("%d are set aside", n)
	}
}

func TestRest(t *testing.T) {
	const now = 100_000
	for _, tc := range []struct {
		since int64
		want  time.Duration
	}{
		{now, RestAside},
		{now - 3599, time.Second},
		{now - 3600, 0},
		{now + 60, RestAside + time.Minute}, // another manager's clock
		{now + 3600, 0},                     // nonsense
		{0, 0},
	} {
		if got := (Aside{MAC: stranger, Since: tc.since}).Left(RestAside, now); got != tc.want {
			t.Errorf("since %d: %v, want %v", tc.since, got, tc.want)
		}
	}
}

// What a Service showed before it was claimed is brought along, and nothing else is.
func TestAdopted(t *testing.T) {
	pools := NewPools([]PoolSpec{{Name: "lan", Addresses: []string{"10.0.0.10-10.0.0.19"}}}, Reserved{})
	for _, tc := range []struct {
		name string
		r    Request
		want bool
	}{
		{"given", Request{}, false},
		{"asked for", Request{Addresses: "10.0.0.12"}, false},
		{"shown", Request{Shown: addrs("10.0.0.12")}, true},
		{"shown and asked for", Request{Shown: addrs("10.0.0.12"), Addresses: "10.0.0.12"}, true},
		{"another is shown than asked for", Request{Shown: addrs("10.0.0.12"), Addresses: "10.0.0.13"}, false},
	} {
		tc.r.Service, tc.r.Families, tc.r.Selects = web, v4, func(string) bool { return true }
		if d := Decide(tc.r, pools, NewLedger()); len(d.Take) != 1 || d.Take[0].Adopted != tc.want {
			t.Errorf("%s: %+v", tc.name, d.Take)
		}
	}
}
