// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"math"
	"time"
)

// Time is a reading of the node's boot clock: the time since boot, suspensions included.
type Time = time.Duration

// Never is the Wake of a Set that has nothing to do.
const Never Time = math.MaxInt64

// The constants of RFC 5227 section 1.1, by their names there. They are meant for links of any kind,
// also slow ones.
const (
	ProbeWait         = time.Second      // PROBE_WAIT: the first probe is delayed by up to it
	ProbeNum          = 3                // PROBE_NUM
	ProbeMin          = time.Second      // PROBE_MIN: between two probes, at least
	ProbeMax          = 2 * time.Second  // PROBE_MAX: at most
	AnnounceWait      = 2 * time.Second  // ANNOUNCE_WAIT: after the last probe
	MaxConflicts      = 10               // MAX_CONFLICTS: probed less often after it
	RateLimitInterval = 60 * time.Second // RATE_LIMIT_INTERVAL: as often as this
	DefendInterval    = 10 * time.Second // DEFEND_INTERVAL
)

// pace is how fast an address is probed.
type pace struct {
	wait         Time // the first probe is delayed by up to it
	least, most  Time // between two probes
	announceWait Time // after the last
}

// full is the pace of RFC 5227; quick is one for an Ethernet, where an answer takes less than a
// millisecond: shorter times are for those to choose who know the link (RFC 5227 section 2.2).
var (
	full  = pace{wait: ProbeWait, least: ProbeMin, most: ProbeMax, announceWait: AnnounceWait}
	quick = pace{wait: 100 * time.Millisecond, least: 200 * time.Millisecond, most: 300 * time.Millisecond, announceWait: 400 * time.Millisecond}
)

const (
	// ProbeAgain is when an address that is in use is probed again, give or take a quarter.
	ProbeAgain = 30 * time.Second

	// AskEvery is the longest time between two questions for an address with a stranger.
	AskEvery = 30 * time.Second
	// GoneAfter is how long a stranger is silent before it is gone.
	GoneAfter = 90 * time.Second

	// PatrolEvery is the shortest time between two questions for an address without one: who
	// answers others does so by unicast, and is heard only when asked.
	PatrolEvery = 60 * time.Second
	// PatrolGap is the shortest time between two such questions for any addresses of this node.
	PatrolGap   = time.Second
	patrolFirst = 5 * time.Second // after the voice began, and up to patrolLate
	patrolLate  = 15 * time.Second

	// ReportInterval is the shortest time between two reports of one address on one
	// interface, reportGap that between any two.
	ReportInterval = 10 * time.Second
	reportGap      = 100 * time.Millisecond

	// frameGap is the time between two frames of ours: switches limit broadcasts, often to some
	// hundreds a second and port.
	frameGap = 4 * time.Millisecond

	// MaxStrangers is how many are remembered of one address on one interface.
	MaxStrangers = 4
	// MaxStrangersAll is how many are remembered in all.
	MaxStrangersAll = 4096

	// nodeWait is how long the agent of a node has to say that it is the kernel that answers there.
	nodeWait = 3 * time.Second

	// verdictFor is how long it is remembered of a card whether it is a proxy's.
	verdictFor = 10 * time.Minute
	// controlListen is how long the table is given to hear the answers, controlWait how long
	// these are waited for after each of the two questions, controlGap the pause between two
	// rounds on a path.
	controlListen = 50 * time.Millisecond
	controlWait   = 500 * time.Millisecond
	controlGap    = 2 * time.Second
	// pendingFor bounds how long the end of probing waits for a verdict.
	pendingFor = 10 * time.Second
	pendingAsk = 200 * time.Millisecond
)
