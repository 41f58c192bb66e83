// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// EntryError says what is wrong with one entry of a pool and what to write instead.
type EntryError struct {
	Field   string // "addresses" or "exclude"
	Index   int
	Entry   string
	Problem string
	Remedy  string
}

// Error is the whole sentence, in terms of the pool's spec.
func (e *EntryError) Error() string {
	return fmt.Sprintf("%s[%d] %q: %s: %s", e.Field, e.Index, e.Entry, e.Problem, e.Remedy)
}

// entry is a parsed entry of a pool.
type entry struct {
	Range
	prefix netip.Prefix // valid when it was written as a CIDR
}

// alone tells whether the entry was written as one address.
func (e entry) alone() bool { return e.First == e.Last }

// fault is what is wrong with an entry, and what to do about it.
type fault struct{ problem, remedy string }

const howToWrite = "write a CIDR (192.168.7.0/24), a range (192.168.1.240-192.168.1.250) or a single address (fd00:1::f0)"

// unusable are addresses that no Service can have (RFC 6890; RFC 4291 2.5, 2.7).
var unusable = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "addresses of \"this network\" (0.0.0.0/8)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback addresses (127.0.0.0/8)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast addresses (224.0.0.0/4)"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address 255.255.255.255"},
	{netip.MustParsePrefix("::/127"), "the unspecified or the loopback address"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4 addresses in IPv6 form (::ffff:0:0/96)"},
	{netip.MustParsePrefix("fe80::/10"), "link-local addresses (fe80::/10)"},
	{netip.MustParsePrefix("ff00::/8"), "multicast addresses (ff00::/8)"},
}

// parse reads all entries of a field.
func parse(field string, texts []string) ([]entry, error) {
	entries := make([]entry, 0, len(texts))
	for i, text := range texts {
		e, f := parseEntry(text)
		if f == nil && field == fieldAddresses {
			f = refuseUnusable(e.Range)
		}
		if f != nil {
			return nil, &EntryError{Field: field, Index: i, Entry: text, Problem: f.problem, Remedy: f.remedy}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// parseEntry reads one entry.
func parseEntry(text string) (entry, *fault) {
	if tight := strings.Join(strings.Fields(text), ""); tight != text {
		if _, f := parseEntry(tight); tight != "" && f == nil {
			return entry{}, &fault{"it holds white space", "write " + tight}
		}
		return entry{}, &fault{"it cannot be read", howToWrite}
	}
	if first, last, ok := strings.Cut(text, "-"); ok {
		return parseEnds(first, last)
	}
	if strings.Contains(text, "/") {
		return parseCIDR(text)
	}
	a, f := parseAddr(text)
	return entry{Range: One(a)}, f
}

// parseEnds reads a range of which both ends are written.
func parseEnds(first, last string) (entry, *fault) {
	a, f := parseAddr(first)
	if f != nil {
		return entry{}, f
	}
	b, f := parseAddr(last)
	if f != nil {
		// "192.168.1.240-250": the user may mean the last part only.
		if whole := first[:strings.LastIndexAny(first, ".:")+1] + last; wellFormed(whole) {
			if _, worse := parseEnds(first, whole); worse == nil {
				return entry{}, &fault{fmt.Sprintf("%q is no whole address", last), "write " + first + "-" + whole}
			}
		}
		return entry{}, f
	}
	switch {
	case a.Is4() != b.Is4():
		return entry{}, &fault{"the ends of the range are of two families", "write one range for IPv4 and another for IPv6"}
	case b.Less(a):
		return entry{}, &fault{"the range is reversed", "write " + last + "-" + first}
	}
	return entry{Range: Range{First: a, Last: b}}, nil
}

// parseCIDR reads a prefix.
func parseCIDR(text string) (entry, *fault) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return entry{}, &fault{"it is no CIDR", howToWrite}
	}
	if p != p.Masked() {
		return entry{}, &fault{"it is an address within a network, with a prefix length",
			fmt.Sprintf("write %s for the network or %s for the one address", p.Masked(), p.Addr())}
	}
	return entry{Range: prefixRange(p), prefix: p}, nil
}

// prefixRange is the range of a prefix.
func prefixRange(p netip.Prefix) Range {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	b, _ := netip.AddrFromSlice(last)
	return Range{First: p.Addr(), Last: b}
}

// parseAddr reads one address.
func parseAddr(text string) (netip.Addr, *fault) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, &fault{fmt.Sprintf("%q is no IP address", text), howToWrite}
	case a.Zone() != "":
		return netip.Addr{}, &fault{"it names a zone", "write " + a.WithZone("").String()}
	case a.Is4In6():
		return netip.Addr{}, &fault{"it is an IPv4 address in IPv6 form", "write " + a.Unmap().String()}
	}
	return a, nil
}

// wellFormed tells whether a text is an address.
func wellFormed(text string) bool {
	_, f := parseAddr(text)
	return f == nil
}

// refuseUnusable says which addresses of a range no Service can have.
func refuseUnusable(r Range) *fault {
	for _, u := range unusable {
		u4 := u.prefix.Addr().Is4()
		if bad := prefixRange(u.prefix); u4 == r.First.Is4() && bad.First.Compare(r.Last) <= 0 && r.First.Compare(bad.Last) <= 0 {
			return &fault{"it holds " + u.what + ", which no Service can have", "leave them out"}
		}
	}
	return nil
}
