// SPDX-License-Identifier: Apache-2.0

package neighbor

import "time"

const (
	// ARP rounds after the first are this far apart: Linux refuses to change an entry
	// twice within a second (locktime), so closer rounds count as one.
	spacing4 = 1100 * time.Millisecond

	// NDP advertisements of one address are at least RetransTimer (1 s) apart (RFC 4861
	// section 7.2.6).
	spacing6 = 1000 * time.Millisecond

	// rounds is above ANNOUNCE_NUM (2, RFC 5227 section 1.1) and
	// MAX_NEIGHBOR_ADVERTISEMENT (3, RFC 4861 section 10), which are made for an address
	// nobody had before: here every cache on the segment holds the wrong entry.
	rounds = 5
)

// Rounds gives when an address is announced, counted from its takeover. The first round
// of ARP is three frames within 200 ms, so that one lost frame costs no second: a
// gratuitous frame is not held back by the lock.
func Rounds(is4 bool) []time.Duration {
	at, spacing := []time.Duration{0}, spacing6
	if is4 {
		at, spacing = []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond}, spacing4
	}
	for range rounds - 1 {
		at = append(at, at[len(at)-1]+spacing)
	}
	return at
}
