// SPDX-License-Identifier: Apache-2.0

package neighbor

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
