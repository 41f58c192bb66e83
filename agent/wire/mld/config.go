// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"math"
	"time"
)

// Time is a reading of the node's boot clock: the time since boot, suspensions included.
type Time = time.Duration

// Never is the Wake of a Listener that has nothing to do.
const Never Time = math.MaxInt64

// The timers of RFC 3810 section 9 and RFC 2710 section 7, by their names there.
const (
	Robustness                = 2 // Robustness Variable, unless a querier says more
	QueryInterval             = 125 * time.Second
	QueryResponseInterval     = 10 * time.Second
	UnsolicitedReportInterval = time.Second
	// UnsolicitedReportInterval1 is that of version 1.
	UnsolicitedReportInterval1 = 10 * time.Second
)

// The pace: two frames are at least a gap apart, but some may catch up. A switch hands each report
// to its processor; one of version 2 has some 70 groups in it, one of version 1 a single one.
const (
	gap2    = 5 * time.Millisecond
	gap1    = time.Millisecond
	catchUp = 4
)

// minMTU is the least that IPv6 works with (RFC 8200 section 5).
const minMTU = 1280
