// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"192.168.7.0/24", "192.168.7.0-192.168.7.255"},
		{"192.168.1.240-192.168.1.250", "192.168.1.240-192.168.1.250"},
		{"fd00:1::f0/124", "fd00:1::f0-fd00:1::ff"},
		{"fd00:1::f0", "fd00:1::f0"},
		{"10.0.0.1/32", "10.0.0.1"},
		{"10.0.0.1-10.0.0.1", "10.0.0.1"},
		{"fd00:1:0:0::5", "fd00:1::5"},
	} {
		e, f := parseEntry(tc.text)
		if f != nil || e.String() != tc.want {
			t.Errorf("%q: %v %v, want %s", tc.text, e.Range, f, tc.want)
		}
	}
}

func TestParseSaysWhatToWrite(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"192.168.1.50-192.168.1.10", `addresses[1] "192.168.1.50-192.168.1.10": the range is reversed: write 192.168.1.10-192.168.1.50`},
		{"192.168.1.1-fd00::1", `addresses[1] "192.168.1.1-fd00::1": the ends of the range are of two families: write one range for IPv4 and another for IPv6`},
		{"192.168.1.240-250", `addresses[1] "192.168.1.240-250": "250" is no whole address: write 192.168.1.240-192.168.1.250`},
		{"fd00::10-20", `addresses[1] "fd00::10-20": "20" is no whole address: write fd00::10-fd00::20`},
		{"192.168.1.1 - 192.168.1.9", `addresses[1] "192.168.1.1 - 192.168.1.9": it holds white space: write 192.168.1.1-192.168.1.9`},
		{"192.168.1.5/24", `addresses[1] "192.168.1.5/24": it is an address within a network, with a prefix length: write 192.168.1.0/24 for the network or 192.168.1.5 for the one address`},
		{"::ffff:192.168.1.5", `addresses[1] "::ffff:192.168.1.5": it is an IPv4 address in IPv6 form: write 192.168.1.5`},
		{"fd00::1%eth0", `addresses[1] "fd00::1%eth0": it names a zone: write fd00::1`},
		{"224.0.0.0/24", `addresses[1] "224.0.0.0/24": it holds multicast addresses (224.0.0.0/4), which no Service can have: leave them out`},
		{"200.0.0.0-230.0.0.0", `addresses[1] "200.0.0.0-230.0.0.0": it holds multicast addresses (224.0.0.0/4), which no Service can have: leave them out`},
		{"banana", `addresses[1] "banana": "banana" is no IP address: ` + howToWrite},
		{"10.0.0.0/33", `addresses[1] "10.0.0.0/33": it is no CIDR: ` + howToWrite},
		{"", `addresses[1] "": "" is no IP address: ` + howToWrite},
		{" ", `addresses[1] " ": it cannot be read: ` + howToWrite},
	} {
		_, err := parse(fieldAddresses, []string{"10.0.0.1", tc.text})
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q:\n got %v\nwant %s", tc.text, err, tc.want)
		}
		var e *EntryError
		if !errors.As(err, &e) || e.Index != 1 || e.Entry != tc.text {
			t.Errorf("%q: %#v", tc.text, err)
		}
	}
}

// FuzzParse: whatever is written, it is read or refused with a remedy; what is read is a
// range, and reads the same when it is written back.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "fd00::/64", "1.2.3.4-1.2.3.9", "-", "/", "1.2.3.4-", "::-::", " 1", "1.2.3.4-5-6", "a-b", "...", "1.2.3.4-%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, fault := parseEntry(text)
		if fault != nil {
			if fault.problem == "" || fault.remedy == "" {
				t.Fatalf("%q is refused without a word", text)
			}
			if better, ok := strings.CutPrefix(fault.remedy, "write "); ok && fault.remedy != howToWrite && !strings.Contains(better, " ") {
				if _, again := parseEntry(better); again != nil {
					t.Fatalf("%q: the remedy %q is refused too: %s", text, better, again.problem)
				}
			}
			return
		}
		if e.First.Is4() != e.Last.Is4() || e.Last.Less(e.First) || e.First.Zone() != "" || e.First.Is4In6() {
			t.Fatalf("%q gives %v", text, e.Range)
		}
		again, fault := parseEntry(e.String())
		if fault != nil || again.Range != e.Range {
			t.Fatalf("%q gives %v, which reads %v %v", text, e.Range, again.Range, fault)
		}
	})
}
