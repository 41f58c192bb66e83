// SPDX-License-Identifier: Apache-2.0

package wire

import "time"

// bucket is a token bucket that may go into debt: what is sent is taken when it is known,
// and the next waits until it is paid. Used by one goroutine.
type bucket struct {
	rate, burst, tokens float64 // tokens a second, and tokens
	at                  time.Time
}

func newBucket(rate, burst float64) *bucket {
	return &bucket{rate: rate, burst: burst, tokens: burst, at: time.Now()}
}

// wait is how long until something may be sent; zero if it may now.
func (b *bucket) wait(now time.Time) time.Duration {
	b.tokens = min(b.burst, b.tokens+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.tokens > 0 {
		return 0
	}
	return max(time.Duration(-b.tokens/b.rate*float64(time.Second)), time.Millisecond)
}

func (b *bucket) take(n int) { b.tokens -= float64(n) }
