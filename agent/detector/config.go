// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"math"
	"time"
)

// Time is a reading of the node's boot clock: the time since boot, suspensions included.
type Time = time.Duration

// Never is the Wake of a detector that has nothing to do.
const Never Time = math.MaxInt64

// ago is the time of what never happened: before all others, and far enough from both
// ends that differences do not overflow.
const ago Time = math.MinInt64 / 2

// Config holds what the rules count with. Take Defaults and change what must differ.
type Config struct {
	// Idle is the interval of a stream's questions. IdleGap times the number of streams
	// is its lower bound, so a node sends at most one idle question per IdleGap.
	Idle    time.Duration
	IdleGap time.Duration
	// MinTimeout and MaxTimeout bound how long an answer is waited for; between them it
	// is Spread times the 99.9th percentile of the stream's round trips.
	MinTimeout time.Duration
	MaxTimeout time.Duration
	Spread     int
	// RTTHalf is the length of one of the two periods whose round trips count.
	RTTHalf time.Duration

	// Sample is how many addresses of a stream are asked in a suspicion.
	Sample int
	// Repeats is how often they are asked, LossyRepeats where some questions were lost lately,
	// MuchRepeats where many were. At least DirectRepeats it takes where the card is heard
	// meanwhile about something else.
	Repeats, LossyRepeats, MuchRepeats, DirectRepeats int
	// Late is how far behind Wake a call may come before what was open is asked again.
	Late time.Duration
	// Again is the interval at which the silence of a stream or an address is confirmed.
	Again time.Duration
	// QuietAfter is after how many of them a dead address is no longer broadcast.
	QuietAfter int
	// Broadcasts is how many frames to all this node may send in any second. Those about
	// one address are at least BroadcastGap apart.
	Broadcasts   int
	BroadcastGap time.Duration
	// SomeLoss, MuchLoss and TooMuchLoss, in thousandths of the last minute's questions, or of
	// LossOf if these were fewer: more repeats, still more, and no verdict.
	SomeLoss, MuchLoss, TooMuchLoss int
	LossOf                          int
	// UnheardAfter is the age of an epoch at which an address that never answered in it
	// may be told dead although its speaker lives; UnheardEvery how seldom.
	UnheardAfter time.Duration
	UnheardEvery time.Duration

	// CastEvery is the interval at which each stream is asked by broadcast, CastGap times the
	// number of streams its lower bound. Such a question is sent CastTries times, CastWait
	// apart; after CastMisses of them in a row without answer the card is told that it is
	// deaf to them.
	CastEvery, CastGap, CastWait time.Duration
	CastTries, CastMisses        int

	// AudibleFor is how long one answer makes a speaker audible.
	AudibleFor time.Duration

	// WitnessEvery is the interval of questions to witnesses, WitnessFor how long ago a
	// witness may have answered to be one that can be expected to answer.
	WitnessEvery time.Duration
	WitnessFor   time.Duration
	// WitnessGap is the shortest time between two questions to one witness, however many
	// suspicions want it.
	WitnessGap time.Duration

	// VouchGap is the shortest time between two questions on behalf of one asker about
	// one address; VouchOpen how many may be open at once.
	VouchGap  time.Duration
	VouchOpen int

	// GhostEvery is the interval of questions to a replaced card in the first GhostFirst,
	// GhostLater from then on, until GhostFor after it was replaced.
	GhostEvery time.Duration
	GhostFirst time.Duration
	GhostLater time.Duration
	GhostFor   time.Duration
	// GhostGap is the shortest time between two Ghost outputs about an address that was
	// heard; for the other addresses of that card it is GhostEvery.
	GhostGap time.Duration

	// WatchedFor is how long a peer's question counts as being watched.
	WatchedFor time.Duration
}

// Defaults gives the Config that ships.
func Defaults() Config {
	return Config{
		Idle: 100 * time.Millisecond, IdleGap: 4 * time.Millisecond,
		MinTimeout: 50 * time.Millisecond, MaxTimeout: 300 * time.Millisecond,
		Spread: 2, RTTHalf: 5 * time.Minute,
		Sample: 8, Repeats: 3, LossyRepeats: 5, MuchRepeats: 12, DirectRepeats: 9,
		Late: 20 * time.Millisecond, Again: time.Second, QuietAfter: 3,
		Broadcasts: 500, BroadcastGap: 30 * time.Millisecond,
		SomeLoss: 10, MuchLoss: 50, TooMuchLoss: 200, LossOf: 100,
		UnheardAfter: 3 * time.Second, UnheardEvery: 10 * time.Minute,
		CastEvery: 10 * time.Second, CastGap: 500 * time.Millisecond, CastWait: 200 * time.Millisecond,
		CastTries: 2, CastMisses: 3,
		AudibleFor:   time.Second,
		WitnessEvery: 15 * time.Second, WitnessFor: time.Minute, WitnessGap: 20 * time.Millisecond,
		VouchGap: 50 * time.Millisecond, VouchOpen: 64,
		GhostEvery: 200 * time.Millisecond, GhostFirst: time.Minute,
		GhostLater: 2 * time.Second, GhostFor: 10 * time.Minute,
		GhostGap:   50 * time.Millisecond,
		WatchedFor: 2 * time.Second,
	}
}
