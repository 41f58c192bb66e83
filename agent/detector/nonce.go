// SPDX-License-Identifier: Apache-2.0

package detector

import "time"

// A question's nonce says when it was asked, and its answer repeats it: so an answer shows that its
// sender lived since. A recorded one that is sent again shows nothing, although its signature is right.
const (
	// freshFor is how old a question may be whose answer, or whose vouch, is a sign of life.
	freshFor = 2 * time.Second
	// freshSlack is how far in the future it may seem to lie: nonces of one moment follow each other.
	freshSlack = 10 * time.Millisecond
)

// Nonce is that of a question asked at t: microseconds of the asker's boot clock. It comes again after
// 71 minutes.
func Nonce(t Time) uint32 { return uint32(t / time.Microsecond) } // #nosec G115 -- it may wrap

// Fresh tells whether a nonce that was heard at t is of a question that this node asked lately.
func Fresh(t Time, nonce uint32) bool {
	age := time.Duration(int32(Nonce(t)-nonce)) * time.Microsecond // #nosec G115 -- of two that wrap
	return age >= -freshSlack && age <= freshFor
}
