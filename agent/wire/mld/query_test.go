// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// asked is a query as it may be written.
type asked struct {
	code     uint16
	group    netip.Addr // invalid: all
	v1       bool
	s        bool
	qrv, qqi byte
	sources  int    // that it has
	says     int    // that it says it has, if it is another number
	more     []byte // behind
	options  []byte // 6 octets; nil: Router Alert and padding
	src, dst netip.Addr
}

func (a asked) frame() []byte {
	m := []byte{130, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(m[4:], a.code)
	g := netip.IPv6Unspecified()
	dst := netip.MustParseAddr("ff02::1")
	if a.group.IsValid() {
		g, dst = a.group, a.group
	}
	if a.dst.IsValid() {
		dst = a.dst
	}
	src := querier
	if a.src.IsValid() {
		src = a.src
	}
	m = append(m, g.AsSlice()...)
	if !a.v1 {
		flags := a.qrv
		if a.s {
			flags |= 8
		}
		m = append(m, flags, a.qqi, 0, byte(max(a.says, a.sources)))
		for i := range a.sources {
			m = append(m, netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}).AsSlice()...)
		}
	}
	m = append(m, a.more...)
	options := a.options
	if options == nil {
		options = []byte{5, 2, 0, 0, 1, 0}
	}
	mac := EtherAddr(dst)
	f := append(append(mac[:], 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0), 0, byte(8+len(m)), 0, 1)
	f = append(append(f, src.AsSlice()...), dst.AsSlice()...)
	f = append(append(append(f, 58, 0), options...), m...)
	return sealed(f)
}

// sealed puts the right checksum into a frame.
func sealed(f []byte) []byte {
	f[64], f[65] = 0, 0
	binary.BigEndian.PutUint16(f[64:], ^uint16(sum(f)))
	return f
}

func TestParse(t *testing.T) {
	g := solicited(1)[0]
	for name, tc := range map[string]struct {
		in   asked
		want Query
	}{
		"RFC 2710 3: general":                {asked{v1: true, code: 10000}, Query{Version: 1, Delay: 10 * time.Second}},
		"RFC 2710 3: of a group":             {asked{v1: true, code: 1000, group: g}, Query{Version: 1, Delay: time.Second, Group: g}},
		"RFC 2710 3.4: no float":             {asked{v1: true, code: 0xffff}, Query{Version: 1, Delay: 65535 * time.Millisecond}},
		"RFC 3810 5.1: general":              {asked{code: 10000, qrv: 2, qqi: 125}, Query{Version: 2, Delay: 10 * time.Second, Robustness: 2, Interval: 125 * time.Second}},
		"5.1: of a group":                    {asked{code: 1000, group: g, qrv: 3, qqi: 1}, Query{Version: 2, Group: g, Delay: time.Second, Robustness: 3, Interval: time.Second}},
		"5.1: of sources":                    {asked{code: 5, group: g, sources: 3}, Query{Version: 2, Group: g, Delay: 5 * time.Millisecond}},
		"5.1.3: the last that is linear":     {asked{code: 32767}, Query{Version: 2, Delay: 32767 * time.Millisecond}},
		"5.1.3: the first with an exponent":  {asked{code: 0x8000}, Query{Version: 2, Delay: 32768 * time.Millisecond}},
		"5.1.3: the largest":                 {asked{code: 0xffff}, Query{Version: 2, Delay: 8387584 * time.Millisecond}},
		"5.1.7: the S flag is not for us":    {asked{s: true, qrv: 7}, Query{Version: 2, Robustness: 7}},
		"5.1.9: the first with an exponent":  {asked{qqi: 0x80}, Query{Version: 2, Interval: 128 * time.Second}},
		"5.1.9: the largest":                 {asked{qqi: 0xff}, Query{Version: 2, Interval: 31744 * time.Second}},
		"5.1.12: additional data":            {asked{code: 7, more: []byte{1, 2, 3}}, Query{Version: 2, Delay: 7 * time.Millisecond}},
		"5.1.15: a group's, sent to all":     {asked{group: g, dst: netip.MustParseAddr("ff02::1")}, Query{Version: 2, Group: g}},
		"RFC 8200 4.2: padding first":        {asked{options: []byte{1, 0, 5, 2, 0, 0}}, Query{Version: 2}},
		"4.2: single padding on both sides":  {asked{options: []byte{0, 5, 2, 0, 0, 0}}, Query{Version: 2}},
		"8.1: version 2 begins at 28 octets": {asked{v1: true, code: 9, more: make([]byte, 4)}, Query{Version: 2, Delay: 9 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			f := tc.in.frame()
			for _, padding := range []int{0, 1, 40} {
				got, err := Parse(append(f[:len(f):len(f)], make([]byte, padding)...))
				if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || diff != "" {
					t.Errorf("%d octets behind: %v (-want +got):\n%s", padding, err, diff)
				}
			}
			f[icmp+1] = 77 // RFC 3810 section 5.1.2
			if got, err := Parse(sealed(f)); err != nil || got != tc.want {
				t.Errorf("with a code: %+v, %v", got, err)
			}
			for n := range f {
				if q, err := Parse(f[:n]); err == nil {
					t.Errorf("cut after %d octets: %+v", n, q)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	g := solicited(1)[0]
	octet := func(at int, b byte) []byte {
		f := asked{group: g}.frame()
		f[at] = b
		return sealed(f)
	}
	wrongSum := asked{group: g}.frame()
	wrongSum[icmp+2] ^= 1
	for name, tc := range map[string]struct {
		frame []byte
		want  error
	}{
		"nothing":                              {nil, errNoQuery},
		"IPv4":                                 {octet(12, 0x08), errNoQuery},
		"version 4 within":                     {octet(ip, 0x40), errNoQuery},
		"TCP":                                  {octet(ip+6, 6), errNoQuery},
		"UDP behind the options":               {octet(hop, 17), errNoQuery},
		"a report":                             {octet(icmp, 143), errNoQuery},
		"a report of version 1":                {octet(icmp, 131), errNoQuery},
		"RFC 3810 6.2: hop limit 2":            {octet(ip+7, 2), errHopLimit},
		"6.2: hop limit 0":                     {octet(ip+7, 0), errHopLimit},
		"6.2: hop limit 255":                   {octet(ip+7, 255), errHopLimit},
		"6.2: source is a global address":      {asked{src: netip.MustParseAddr("2001:db8::1")}.frame(), errSource},
		"5.1.14: source ::":                    {asked{src: netip.IPv6Unspecified()}.frame(), errSource},
		"6.2: source ff02::1":                  {asked{src: netip.MustParseAddr("ff02::1")}.frame(), errSource},
		"6.2: padding, no Router Alert":        {asked{options: []byte{1, 4, 0, 0, 0, 0}}.frame(), errRouterAlert},
		"RFC 2711: alert of RSVP":              {asked{options: []byte{5, 2, 0, 1, 1, 0}}.frame(), errRouterAlert},
		"RFC 2711: alert of another length":    {asked{options: []byte{5, 4, 0, 0, 0, 0}}.frame(), errRouterAlert},
		"RFC 8200 4.2: an option is cut":       {asked{options: []byte{5, 2, 0, 0, 1, 1}}.frame(), errRouterAlert},
		"4.2: an option that drops the packet": {asked{options: []byte{5, 2, 0, 0, 0xc2, 0}}.frame(), errRouterAlert},
		"4.2: half an option":                  {asked{options: []byte{5, 2, 0, 0, 0, 1}}.frame(), errRouterAlert},
		"to this card alone":                   {asked{dst: us.LinkLocal}.frame(), errNoQuery},
		"RFC 4443 2.3: checksum":               {wrongSum, errChecksum},
		"a longer hop-by-hop header":           {octet(hop+1, 1), errLength},
		"a length beyond the frame":            {octet(ip+5, 200), errLength},
		"a length of no message":               {octet(ip+5, 20), errLength},
		"RFC 3810 8.1: 25 octets":              {asked{v1: true, more: make([]byte, 1)}.frame(), errLength},
		"8.1: 27 octets":                       {asked{v1: true, more: make([]byte, 3)}.frame(), errLength},
		"5.1.10: more sources than there are":  {asked{group: g, sources: 2, says: 3}.frame(), errLength},
		"5.1.10: sources of no group":          {asked{sources: 1}.frame(), errGroup},
		"5.1.5: a group that is a host":        {asked{group: us.LinkLocal, dst: g}.frame(), errGroup},
	} {
		t.Run(name, func(t *testing.T) {
			if q, err := Parse(tc.frame); !errors.Is(err, tc.want) {
				t.Errorf("%+v, %v, want %v", q, err, tc.want)
			}
		})
	}
}

func TestEtherAddr(t *testing.T) {
	if got, want := EtherAddr(netip.MustParseAddr("ff02::1:ff12:3456")), (neighbor.MAC{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}); got != want {
		t.Errorf("%v, want %v (RFC 2464 section 7)", got, want)
	}
}

// What is read as a query is one by the RFCs, whatever the frame.
func FuzzParse(f *testing.F) {
	for _, a := range []asked{{}, {v1: true, code: 1000}, {group: solicited(1)[0], sources: 2, qrv: 2, qqi: 0xff}, {options: []byte{1, 0, 5, 2, 0, 0}}} {
		f.Add(a.frame())
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		q, err := Parse(frame)
		if err != nil {
			if q != (Query{}) {
				t.Errorf("%+v with %v", q, err)
			}
			return
		}
		packet := frame[:54+int(binary.BigEndian.Uint16(frame[18:]))]
		if packet[21] != 1 || !netip.AddrFrom16([16]byte(packet[22:38])).IsLinkLocalUnicast() || sum(packet) != 0xffff {
			t.Errorf("taken for a query: %x", frame)
		}
		if q.Version == 1 != (len(packet) == 62+24) || q.Delay < 0 || q.Interval < 0 || q.Robustness > 7 ||
			q.Group.IsValid() && !q.Group.IsMulticast() {
			t.Errorf("%+v of %x", q, frame)
		}
	})
}
