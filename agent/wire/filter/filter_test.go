// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// machine runs a filter as the kernel would, but for the packet type, which is a parameter.
func machine(t testing.TB, f Filter, kind uint32) *bpf.VM {
	t.Helper()
	if len(f.Code) > MaxInstructions {
		t.Fatalf("%d instructions", len(f.Code))
	}
	code := make([]bpf.Instruction, len(f.Code))
	for i, ins := range f.Code {
		if e, ok := ins.(bpf.LoadExtension); ok && e.Num == bpf.ExtType {
			ins = bpf.LoadConstant{Dst: bpf.RegA, Val: kind}
		}
		code[i] = ins
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func passes(t testing.TB, vm *bpf.VM, frame []byte) bool {
	t.Helper()
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

const hostKind, broadcastKind, multicastKind, otherKind, outgoingKind = 0, 1, 2, 3, 4

func arpFrame(op uint16, sender, target netip.Addr) []byte {
	b := append(make([]byte, 12), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, byte(op))
	b = append(append(b, make([]byte, 6)...), sender.AsSlice()...)
	return append(append(b, make([]byte, 6)...), target.AsSlice()...)
}

func ndpFrame(typ byte, source, target netip.Addr) []byte {
	b := append(make([]byte, 12), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255)
	b = append(append(b, source.AsSlice()...), make([]byte, 16)...)
	return append(append(b, typ, 0, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}

func echo4Frame(target netip.Addr, options int) []byte {
	b := append(make([]byte, 12), 0x08, 0x00, 0x45+byte(options), 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9)
	b = append(append(b, target.AsSlice()...), make([]byte, 4*options)...)
	return append(b, 8, 0, 0, 0, 0, 0, 0, 0)
}

func echo6Frame(target netip.Addr) []byte {
	b := append(make([]byte, 12), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 64)
	b = append(append(b, make([]byte, 16)...), target.AsSlice()...)
	return append(b, 128, 0, 0, 0, 0, 0, 0, 0)
}

func with(b []byte, at int, x byte) []byte {
	c := append([]byte(nil), b...)
	c[at] = x
	return c
}

var (
	vip4  = netip.MustParseAddr("192.0.2.240")
	gate4 = netip.MustParseAddr("192.0.2.1")
	host4 = netip.MustParseAddr("192.0.2.77")
	zero4 = netip.IPv4Unspecified()
	vip6  = netip.MustParseAddr("2001:db8::f0")
	gate6 = netip.MustParseAddr("fe80::1")
	host6 = netip.MustParseAddr("2001:db8::77")
)

func set(addrs ...netip.Addr) Set { return NewSet(addrs) }

func TestWhatPasses(t *testing.T) {
	arp := arpFrame
	request, solicitation := arp(1, host4, vip4), ndpFrame(135, host6, vip6)
	ping4, ping6 := echo4Frame(vip4, 0), echo6Frame(vip6)
	for name, tc := range map[string]struct {
		kind           Kind
		frame          []byte
		packet         uint32
		exact, general bool
	}{
		"request":                          {ARP, request, broadcastKind, true, true},
		"unicast request":                  {ARP, request, hostKind, true, true},
		"probe":                            {ARP, arp(1, zero4, vip4), broadcastKind, true, true},
		"request for another":              {ARP, arp(1, host4, gate4), broadcastKind, false, true},
		"request by the gateway":           {ARP, arp(1, gate4, host4), broadcastKind, false, true},
		"request by a VIP":                 {ARP, arp(1, vip4, host4), broadcastKind, true, true},
		"announcement":                     {ARP, arp(1, vip4, vip4), broadcastKind, true, true},
		"reply by a VIP":                   {ARP, arp(2, vip4, host4), broadcastKind, true, true},
		"reply by a witness":               {ARP, arp(2, gate4, host4), hostKind, true, true},
		"reply by another":                 {ARP, arp(2, host4, vip4), hostKind, false, true},
		"neither request nor reply":        {ARP, arp(3, vip4, vip4), hostKind, false, true},
		"ARP for another card":             {ARP, request, otherKind, false, false},
		"ARP sent by us":                   {ARP, request, outgoingKind, false, false},
		"ARP on Token Ring":                {ARP, with(request, 15, 6), broadcastKind, false, false},
		"ARP for IPv6":                     {ARP, with(request, 16, 0x86), broadcastKind, false, false},
		"ARP with long names":              {ARP, with(request, 18, 8), broadcastKind, false, false},
		"cut ARP":                          {ARP, request[:41], broadcastKind, false, true},
		"nothing":                          {ARP, nil, broadcastKind, false, false},
		"solicitation":                     {NDP, solicitation, multicastKind, true, true},
		"unicast solicitation":             {NDP, solicitation, hostKind, true, true},
		"solicitation for another":         {NDP, ndpFrame(135, gate6, host6), multicastKind, false, true},
		"solicitation for a witness":       {NDP, ndpFrame(135, host6, gate6), multicastKind, false, true},
		"solicitation by a VIP":            {NDP, ndpFrame(135, vip6, host6), multicastKind, true, true},
		"advertisement of a VIP":           {NDP, ndpFrame(136, host6, vip6), multicastKind, true, true},
		"advertisement of a witness":       {NDP, ndpFrame(136, gate6, gate6), hostKind, true, true},
		"advertisement of another by VIP":  {NDP, ndpFrame(136, vip6, host6), hostKind, false, true},
		"router advertisement":             {NDP, with(solicitation, 54, 134), multicastKind, false, false},
		"redirect":                         {NDP, with(solicitation, 54, 137), multicastKind, false, false},
		"forwarded solicitation":           {NDP, with(solicitation, 21, 254), multicastKind, false, false},
		"TCP to a VIP":                     {NDP, with(solicitation, 20, 6), hostKind, false, false},
		"solicitation for another card":    {NDP, solicitation, otherKind, false, false},
		"solicitation sent by us":          {NDP, solicitation, outgoingKind, false, false},
		"cut solicitation":                 {NDP, solicitation[:77], multicastKind, false, true},
		"echo request":                     {Echo4, ping4, hostKind, true, true},
		"echo request with options":        {Echo4, echo4Frame(vip4, 2), hostKind, false, false},
		"echo request to another":          {Echo4, echo4Frame(host4, 0), hostKind, false, true},
		"echo request to everyone":         {Echo4, ping4, broadcastKind, false, false},
		"echo reply":                       {Echo4, with(ping4, 34, 0), hostKind, false, false},
		"first fragment of an echo":        {Echo4, with(ping4, 20, 0x20), hostKind, false, false},
		"last fragment of an echo":         {Echo4, with(ping4, 21, 3), hostKind, false, false},
		"echo that must not be fragmented": {Echo4, with(ping4, 20, 0x40), hostKind, true, true},
		"UDP to a VIP":                     {Echo4, with(ping4, 23, 17), hostKind, false, false},
		"echo by IPv6":                     {Echo6, ping6, hostKind, true, true},
		"echo by IPv6 to another":          {Echo6, echo6Frame(host6), hostKind, false, true},
		"echo by IPv6 to another card":     {Echo6, ping6, otherKind, false, false},
		"echo reply by IPv6":               {Echo6, with(ping6, 54, 129), hostKind, false, false},
		"TCP by IPv6":                      {Echo6, with(ping6, 20, 6), hostKind, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked, witnesses := set(vip4), set(gate4)
			if tc.kind == NDP || tc.kind == Echo6 {
				asked, witnesses = set(vip6), set(gate6)
			}
			if got := passes(t, machine(t, Build(tc.kind, asked, witnesses, MaxInstructions), tc.packet), tc.frame); got != tc.exact {
				t.Errorf("filter of the addresses: %v, want %v", got, tc.exact)
			}
			if got := passes(t, machine(t, General(tc.kind), tc.packet), tc.frame); got != tc.general {
				t.Errorf("general filter: %v, want %v", got, tc.general)
			}
			if passes(t, machine(t, Build(tc.kind, nil, nil, MaxInstructions), tc.packet), tc.frame) {
				t.Error("passes the filter of no address")
			}
		})
	}
}

// Queries of multicast listeners pass the filter of neighbor discovery, whatever its addresses, and
// no other packet with a hop-by-hop header does.
func TestQueriesOfListeners(t *testing.T) {
	query := queryFrame(peerMAC, false)
	for name, tc := range map[string]struct {
		frame  []byte
		packet uint32
		want   bool
	}{
		"version 2":                       {query, multicastKind, true},
		"version 1":                       {queryFrame(peerMAC, true), multicastKind, true},
		"by a bridge, from itself":        {query, hostKind, true},
		"for another card":                {query, otherKind, false},
		"sent by us":                      {query, outgoingKind, false},
		"report of version 1":             {with(query, 62, 131), multicastKind, false},
		"report of version 2":             {with(query, 62, 143), multicastKind, false},
		"solicitation behind options":     {with(query, 62, 135), multicastKind, false},
		"hop limit 2":                     {with(query, 21, 2), multicastKind, false},
		"hop limit 255":                   {with(query, 21, 255), multicastKind, false},
		"routing header":                  {with(query, 20, 43), multicastKind, false},
		"a longer header of options":      {with(query, 55, 1), multicastKind, false},
		"UDP behind options":              {with(query, 54, 17), multicastKind, false},
		"to one address":                  {with(query, 38, 0xfe), hostKind, false},
		"cut before the message":          {query[:62], multicastKind, false},
		"not IPv6":                        {with(query, 12, 0x88), multicastKind, false},
		"no hop-by-hop header, by ICMPv6": {with(query, 20, 58), multicastKind, false},
	} {
		for which, f := range map[string]Filter{
			"general": General(NDP), "of no address": Build(NDP, nil, nil, MaxInstructions),
			"of an address": Build(NDP, set(vip6), set(gate6), MaxInstructions),
			"of many":       Build(NDP, NewSet(scattered(rand.New(rand.NewPCG(1, 1)), 2000, false)), set(gate6), MaxInstructions),
		} {
			if got := passes(t, machine(t, f, tc.packet), tc.frame); got != tc.want {
				t.Errorf("%s, filter %s: passes %v, want %v", name, which, got, tc.want)
			}
		}
		for _, k := range []Kind{ARP, Echo4, Echo6} {
			if passes(t, machine(t, General(k), tc.packet), tc.frame) {
				t.Errorf("%s passes the filter of %v", name, k)
			}
		}
	}
}

// scattered gives addresses that lie in runs and alone, the same for one seed.
func scattered(r *rand.Rand, n int, is4 bool) []netip.Addr {
	var addrs []netip.Addr
	for len(addrs) < n {
		var b [16]byte
		if is4 {
			binary.BigEndian.PutUint32(b[:], 10<<24|r.Uint32()>>12)
		} else {
			copy(b[:], []byte{0x20, 0x01, 0x0d, 0xb8, 7: byte(r.Uint32() % 3)})
			binary.BigEndian.PutUint32(b[12:], r.Uint32()>>12)
		}
		a := netip.AddrFrom16(b)
		if is4 {
			a = netip.AddrFrom4([4]byte(b[:4]))
		}
		for range 1 + r.Uint32()%3 {
			addrs = append(addrs, a)
			a = a.Next()
		}
	}
	return addrs[:n]
}

// Whatever the number of addresses, of each all passes, and as long as there is room nothing
// passes of the addresses beside them.
func TestEveryAddressPasses(t *testing.T) {
	for _, n := range []int{1, 2, leaf, leaf + 1, 50, 300, 1000, 5000, 20000} {
		for _, limit := range []int{MaxInstructions, 512, 64} {
			r := rand.New(rand.NewPCG(uint64(n), 1))
			for k := range NumKinds {
				is4 := k == ARP || k == Echo4
				asked, witnesses := scattered(r, n, is4), scattered(r, min(n, 20), is4)
				if k == Echo4 || k == Echo6 {
					witnesses = nil
				}
				f := Build(k, NewSet(asked), NewSet(witnesses), limit)
				if len(f.Code) > limit {
					t.Errorf("%v of %d: %d instructions, limit %d", k, n, len(f.Code), limit)
				}
				vm := machine(t, f, hostKind)
				exact := map[netip.Addr]bool{}
				for _, a := range asked {
					exact[a] = true
					if !passes(t, vm, about(k, a)) || !f.Covers(a, false) || !f.Covers(a, true) {
						t.Fatalf("%v of %d, limit %d: %v is lost", k, n, limit, a)
					}
				}
				for _, a := range witnesses {
					if !passes(t, vm, by(k, a)) || !f.Covers(a, true) {
						t.Fatalf("%v of %d, limit %d: the witness %v is lost", k, n, limit, a)
					}
				}
				if limit < MaxInstructions || n > 300 {
					continue
				}
				for _, a := range asked {
					for _, b := range []netip.Addr{a.Next(), a.Prev()} {
						if !exact[b] && passes(t, vm, about(k, b)) {
							t.Errorf("%v of %d: %v passes", k, n, b)
						}
					}
				}
			}
		}
	}
}

func about(k Kind, a netip.Addr) []byte {
	switch k {
	case ARP:
		return arpFrame(1, zero4, a)
	case NDP:
		return ndpFrame(135, netip.IPv6Unspecified(), a)
	case Echo4:
		return echo4Frame(a, 0)
	default:
		return echo6Frame(a)
	}
}

// by is an answer of the address.
func by(k Kind, a netip.Addr) []byte {
	if k == ARP {
		return arpFrame(2, a, host4)
	}
	return ndpFrame(136, host6, a)
}

// A pool is an interval: thousands cost what one does.
func TestPoolIsCheap(t *testing.T) {
	pool := func(first netip.Addr) (all []netip.Addr) {
		for a := first; len(all) < 5000; a = a.Next() {
			all = append(all, a)
		}
		return all
	}
	for k, first := range map[Kind]netip.Addr{ARP: netip.MustParseAddr("10.1.0.0"), NDP: netip.MustParseAddr("2001:db8:1::ffff:f000")} {
		one, many := Build(k, NewSet([]netip.Addr{first}), nil, MaxInstructions), Build(k, NewSet(pool(first)), nil, MaxInstructions)
		if len(many.Code) > len(one.Code)+8 {
			t.Errorf("%v: %d instructions for a pool of 5000, %d for one address", k, len(many.Code), len(one.Code))
		}
	}
}

// Where room is short, what is added first is what lies between neighbours.
func TestSmallGapsAreClosedFirst(t *testing.T) {
	pairs := set(
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.3"),
		netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.4"))
	c := pairs.coarse(2)
	for a, want := range map[string]bool{"10.0.0.2": true, "10.9.0.2": true, "10.0.0.4": false, "10.4.0.0": false, "10.0.0.0": false} {
		if got := c.Has(netip.MustParseAddr(a)); got != want {
			t.Errorf("%v: %v, want %v", a, got, want)
		}
	}
	if len(pairs.coarse(4)) != 4 || len(pairs.coarse(1)) != 1 {
		t.Errorf("%d of four, %d of one", len(pairs.coarse(4)), len(pairs.coarse(1)))
	}
}

func TestEndsOfTheKeys(t *testing.T) {
	ends := []netip.Addr{zero4, netip.MustParseAddr("255.255.255.255")}
	f := Build(ARP, NewSet(ends), nil, MaxInstructions)
	for _, a := range ends {
		if !passes(t, machine(t, f, broadcastKind), arpFrame(1, a, host4)) {
			t.Errorf("%v is lost", a)
		}
	}
	if f.Covers(host4, false) || passes(t, machine(t, f, broadcastKind), arpFrame(1, host4, host4)) {
		t.Error("what lies between passes")
	}
}

func TestRoomForNothingIsTheGeneralFilter(t *testing.T) {
	for k := range NumKinds {
		f := Build(k, set(vip4), nil, 3)
		if !f.Covers(host4, false) || len(f.Code) != len(General(k).Code) {
			t.Errorf("%v: %d instructions", k, len(f.Code))
		}
	}
}

// Whoever has the filter of a set needs no other one of it.
func TestFilterKnowsItsSets(t *testing.T) {
	one, two := set(vip4), set(gate4)
	for _, limit := range []int{MaxInstructions, 3} {
		f := Build(ARP, one, two, limit)
		if !f.Of(set(vip4), set(gate4)) || f.Of(two, one) || f.Of(one, nil) || f.Of(nil, two) {
			t.Errorf("limit %d: of %v", limit, f.of)
		}
	}
	if f := Build(ARP, nil, nil, MaxInstructions); !f.Of(nil, nil) || f.Of(one, nil) {
		t.Error("of no address")
	}
	if General(ARP).Of(nil, nil) {
		t.Error("the general filter is of no set")
	}
}
