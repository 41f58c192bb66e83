// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rng is a range of last bytes, in IPv4 or in IPv6.
func rng(v6 bool, a, b byte) Range {
	if a > b {
		a, b = b, a
	}
	if v6 {
		base := netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00").As16()
		first, last := base, base
		first[15], last[15] = a, b
		return Range{netip.AddrFrom16(first), netip.AddrFrom16(last)}
	}
	return Range{netip.AddrFrom4([4]byte{255, 255, 255, a}), netip.AddrFrom4([4]byte{255, 255, 255, b})}
}

// FuzzSet compares a Set with a plain map of the same addresses, at the upper ends of both
// families, where the next address does not exist.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 10, 20, 0, 21, 30, 1, 15, 25})
	f.Add([]byte{2, 250, 255, 3, 255, 255, 0, 0, 255, 1, 0, 255})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s Set
		model := map[netip.Addr]bool{}
		for ; len(ops) >= 3; ops = ops[3:] {
			v6, remove := ops[0]&2 != 0, ops[0]&1 != 0
			r := rng(v6, ops[1], ops[2])
			if remove {
				s.Remove(r)
			} else {
				s.Add(r)
			}
			for a := r.First; a.IsValid() && r.contains(a); a = a.Next() {
				model[a] = !remove
			}
		}
		for _, v6 := range []bool{false, true} {
			all := rng(v6, 0, 255)
			for a := all.First; a.IsValid() && all.contains(a); a = a.Next() {
				if s.Contains(a) != model[a] {
					t.Fatalf("Contains(%v) = %v", a, !model[a])
				}
				want := a
				for want.IsValid() && model[want] {
					want = want.Next()
				}
				if got := s.firstAbsent(a); got != want {
					t.Fatalf("firstAbsent(%v) = %v, want %v", a, got, want)
				}
			}
		}
		for i, r := range s.ranges {
			if r.Last.Less(r.First) || i > 0 && (!s.ranges[i-1].Last.Less(r.First) || s.ranges[i-1].Last.Next() == r.First) {
				t.Fatalf("ranges %v: not disjoint, in order and apart", s.ranges)
			}
		}
	})
}

func TestIntersect(t *testing.T) {
	set := func(texts ...string) *Set {
		var s Set
		for _, text := range texts {
			e, f := parseEntry(text)
			if f != nil {
				t.Fatal(f)
			}
			s.Add(e.Range)
		}
		return &s
	}
	for _, tc := range []struct{ a, b *Set }{
		{set("10.0.0.0-10.0.0.9", "10.0.0.20-10.0.0.29", "fd00::/64"), set("10.0.0.5-10.0.0.25", "fd00::5", "fd00:0:0:1::1")},
	} {
		ab, ba := tc.a.intersect(tc.b), tc.b.intersect(tc.a)
		want := "10.0.0.5-10.0.0.9, 10.0.0.20-10.0.0.25, fd00::5"
		if ab.String() != want || ba.String() != want {
			t.Errorf("%q and %q, want %q", ab.String(), ba.String(), want)
		}
	}
}

func TestSizeSaturates(t *testing.T) {
	got := map[string]uint64{}
	for _, text := range []string{"10.0.0.1", "0.0.0.0/0", "fd00::/65", "fd00::/64", "::/0", "fd00::ffff:ffff:ffff:ffff-fd00::1:0:0:0:0"} {
		e, f := parseEntry(text)
		if f != nil {
			t.Fatal(text, f)
		}
		got[text] = e.size()
	}
	want := map[string]uint64{
		"10.0.0.1": 1, "0.0.0.0/0": 1 << 32, "fd00::/65": 1 << 63, "fd00::/64": math.MaxUint64, "::/0": math.MaxUint64,
		"fd00::ffff:ffff:ffff:ffff-fd00::1:0:0:0:0": 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
