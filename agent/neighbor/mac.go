// SPDX-License-Identifier: Apache-2.0

package neighbor

import "fmt"

// MAC is an Ethernet address.
type MAC [6]byte

// Broadcast gives the address of every card on the segment.
func Broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// String gives the lower-case colon form, "02:00:5e:00:53:01".
func (m MAC) String() string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 17)
	for i, x := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[x>>4], digits[x&15])
	}
	return string(b)
}

// IsCard tells whether the address can be that of one card: neither zero nor a group
// address, which has the lowest bit of its first octet set (IEEE 802).
func (m MAC) IsCard() bool { return m != MAC{} && m[0]&1 == 0 }

// ParseMAC reads the colon form of an Ethernet address.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	for i := range m {
		if len(s) < 3*i+2 || i > 0 && s[3*i-1] != ':' {
			return MAC{}, fmt.Errorf("%q is no Ethernet address: want six octets, 02:00:5e:00:53:01", s)
		}
		high, low := nibble(s[3*i]), nibble(s[3*i+1])
		if high > 15 || low > 15 {
			return MAC{}, fmt.Errorf("%q is no Ethernet address: %q is no octet", s, s[3*i:3*i+2])
		}
		m[i] = high<<4 | low
	}
	if len(s) != 3*len(m)-1 {
		return MAC{}, fmt.Errorf("%q is no Ethernet address: it goes on after six octets", s)
	}
	return m, nil
}

// nibble is a hexadecimal digit's value; above 15: it is none.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	default:
		return 16
	}
}
