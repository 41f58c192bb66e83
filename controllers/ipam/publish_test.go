// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestPublish(t *testing.T) {
	const now = 1_000_000
	type list = []Found
	ago := func(seconds int64, change ...func(*Found)) Found {
		f := Found{Created: now - seconds, Prober: true}
		for _, c := range change {
			c(&f)
		}
		return f
	}
	shown := func(f *Found) { f.Shown = true }
	free := func(f *Found) { f.Free = true }
	alone := func(f *Found) { f.Prober = false }
	for _, tc := range []struct {
		name  string
		found list
		want  []Publication
		again time.Duration
	}{
		{"no address", nil, []Publication{}, 0},
		{"just claimed", list{ago(0)}, []Publication{Hold}, 10 * time.Second},
		{"found free", list{ago(1, free)}, []Publication{Show}, 0},
		{"being probed, slowly", list{ago(9)}, []Publication{Hold}, time.Second},
		{"in conflict for an hour", list{ago(3600)}, []Publication{Withhold}, 10 * time.Second},
		{"found free at last", list{ago(3600, free)}, []Publication{Show}, 0},
		{"shown before, and nothing is known of it", list{ago(0, shown)}, []Publication{Show}, 0},
		{"shown before, in conflict for an hour", list{ago(3600, shown)}, []Publication{Show}, 0},
		{"nobody is there", list{ago(0, alone)}, []Publication{Hold}, 10 * time.Second},
		{"nobody was there for nine seconds", list{ago(9, alone)}, []Publication{Hold}, time.Second},
		{"nobody was there for ten", list{ago(10, alone)}, []Publication{Show}, 0},
		{"nobody is there any more", list{ago(3600, alone)}, []Publication{Show}, 0},
		{"the API server's clock is a little ahead", list{ago(-3, alone)}, []Publication{Hold}, 10 * time.Second},
		{"it is far ahead", list{ago(-600, alone)}, []Publication{Show}, 0},
		{"it is far ahead, and a node is there", list{ago(-600)}, []Publication{Withhold}, 10 * time.Second},

		{"two, both found free", list{ago(1, free), ago(1, free)}, []Publication{Show, Show}, 0},
		{"two, one found free: they are shown together", list{ago(1, free), ago(1)}, []Publication{Hold, Hold}, 2 * time.Second},
		{"not for ever", list{ago(3, free), ago(3)}, []Publication{Show, Hold}, 7 * time.Second},
		{"a second family: the first is shown", list{ago(3600, shown), ago(0)}, []Publication{Show, Hold}, 10 * time.Second},
		{"the first does not wait for one in conflict", list{ago(3600, free), ago(3600)}, []Publication{Show, Withhold}, 10 * time.Second},
		{"one that no node reaches", list{ago(5, free), ago(5, alone)}, []Publication{Show, Hold}, 5 * time.Second},
		{"nobody is there for both", list{ago(10, alone), ago(9, alone)}, []Publication{Hold, Hold}, time.Second},
	} {
		got, again := Publish(tc.found, now)
		if !slices.Equal(got, tc.want) || again != tc.again {
			t.Errorf("%s: %v, again after %v; want %v, %v", tc.name, got, again, tc.want, tc.again)
		}
	}
}

// Whatever is known, an address is shown at the latest when nobody was there for ten seconds,
// what is shown stays so, and as long as something is not shown it is asked again.
func TestPublishInTheEnd(t *testing.T) {
	for range 20_000 {
		bit := func() bool { return rand.IntN(2) == 0 }
		found := make([]Found, 1+rand.IntN(2))
		now := int64(1_000_000)
		for i := range found {
			found[i] = Found{Created: now + rand.Int64N(40) - 20, Shown: bit(), Free: bit(), Prober: bit()}
		}
		what, again := Publish(found, now)
		for i, f := range found {
			if f.Shown && what[i] != Show {
				t.Fatalf("%+v: %v is taken back", found, what)
			}
			if what[i] != Show && (again <= 0 || again > ProbeWait) {
				t.Fatalf("%+v: %v, again after %v", found, what, again)
			}
			if what[i] == Show && !f.Shown && !f.Free && (f.Prober || now-f.Created >= -10 && now-f.Created < 10) {
				t.Fatalf("%+v: %v shows what nobody has probed", found, what)
			}
			found[i].Prober = f.Prober && f.Free
		}
		// Those asking again whenever they were told to are content in the end.
		for range 10 {
			if what, again = Publish(found, now); again == 0 {
				break
			}
			now += int64((again + time.Second - 1) / time.Second)
		}
		if slices.ContainsFunc(what, func(p Publication) bool { return p != Show }) {
			t.Fatalf("%+v: %v in the end", found, what)
		}
	}
}

// Of the claims of a Service, the first of each family is the one that Decide keeps.
func TestOrderIsThatOfDecide(t *testing.T) {
	specs := []PoolSpec{{Name: "a", Addresses: []string{"10.0.0.0/29", "fd00::/125"}}, {Name: "b", Addresses: []string{"10.0.1.0/29"}}}
	pools := NewPools(specs, Reserved{})
	all := addrs("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", "10.0.1.2", "fd00::1", "fd00::2")
	wishes := []string{"", "", "10.0.0.2", "10.0.1.1", "10.0.0.3,fd00::2", "10.9.9.9", "x"}
	kept := 0
	for range 20_000 {
		l := NewLedger()
		r := Request{Service: web, Families: v4v6, Addresses: wishes[rand.IntN(len(wishes))], Selects: func(string) bool { return true }}
		if rand.IntN(4) == 0 {
			r.Pool = "b"
		}
		for _, a := range all {
			if rand.IntN(3) == 0 {
				p := "a"
				if a.Is4() && netip.MustParsePrefix("10.0.1.0/24").Contains(a) {
					p = "b"
				}
				l.Put(Claim{Address: a, Pool: p, Service: web, ID: "x"})
			}
			if rand.IntN(4) == 0 {
				r.Shown = append(r.Shown, a)
			}
		}
		d := Decide(r, pools, l)
		order := Order(r, pools, l.Of(web))
		if len(order) != len(l.Of(web)) {
			t.Fatalf("%d claims of %d", len(order), len(l.Of(web)))
		}
		if d.Refusal != nil && d.Refusal.Reason == BadRequest {
			continue // nothing is decided
		}
		for _, c := range d.Keep {
			first := order[slices.IndexFunc(order, func(o Claim) bool { return FamilyOf(o.Address) == FamilyOf(c.Address) })]
			if first != c {
				t.Fatalf("%+v: Decide keeps %v, the first of %v is %v", r, c.Address, l.Of(web), first.Address)
			}
			kept++
		}
	}
	if kept == 0 {
		t.Error("nothing was kept")
	}
}
