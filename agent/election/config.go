// SPDX-License-Identifier: Apache-2.0

package election

import "time"

// Time is a reading of the node's boot clock: the time since boot, suspensions included.
type Time = time.Duration

// Config holds the node's name and the durations of the election. Every node of a
// cluster runs with the same durations.
type Config struct {
	// Node is this node's name, as it stands in holderIdentity.
	Node string
	// LeaseDuration is how long a heartbeat has to stand unchanged before its node may be
	// replaced.
	LeaseDuration time.Duration
	// Margin is how long before that a speaker without fresh heartbeat falls silent. It
	// covers the difference of two clocks' rates over one LeaseDuration, and the time a
	// frame is under way.
	Margin time.Duration
	// BeatEvery is the interval of heartbeats, and of the first two standbys' reads.
	BeatEvery time.Duration
	// IdleReadEvery is the interval at which the other candidates read the heartbeat.
	IdleReadEvery time.Duration
	// AskEvery and AskTimes: a question on the wire is repeated AskTimes, AskEvery apart.
	AskEvery time.Duration
	AskTimes int
	// AskAgain is the pause after a question that was answered, or a write that failed.
	AskAgain time.Duration
	// RankStep separates the candidates in time: the n-th waits n steps.
	RankStep time.Duration
	// ResumeWait is how long an interrupted speaker waits for a heartbeat to come back before
	// it asks instead, ResumeTimes and ResumeEvery how often; ResumeCheck, when it reads the
	// Lease if none came.
	ResumeWait  time.Duration
	ResumeCheck time.Duration
	ResumeTimes int
	ResumeEvery time.Duration
	// VerdictFresh is how long the detector's verdict may be acted on.
	VerdictFresh time.Duration
	// SwapWait is how long a write may stay unanswered before a node that found the holder
	// dead on the wire claims there.
	SwapWait time.Duration
	// SwapFresh is the age beyond which a write's success is no licence to speak at once:
	// the wire is asked again.
	SwapFresh time.Duration
	// LookFor is how long a giver waits for the heartbeats of its candidates.
	LookFor time.Duration
	// GiveAsk is the interval at which a giver asks the receiver's card, GiveBound how
	// long it waits for the answer before it takes the Lease back.
	GiveAsk   time.Duration
	GiveBound time.Duration
	// FailedFirst is how long a node that did not take what it was given is passed over. It doubles
	// each time, to FailedFor.
	FailedFirst, FailedFor time.Duration
	// FlapLimit changes within FlapWindow end moves that somebody wishes for FlapPause, then
	// twice, then four times as long. Meanwhile the wire's verdict is acted on only once the
	// holder was silent for FlapHold, then twice as long with each change.
	FlapLimit  int
	FlapWindow time.Duration
	FlapPause  time.Duration
	FlapHold   time.Duration
}

// Defaults gives the durations that ship.
func Defaults(node string) Config {
	return Config{
		Node:          node,
		LeaseDuration: 6 * time.Second,
		Margin:        time.Second,
		BeatEvery:     2 * time.Second,
		IdleReadEvery: 30 * time.Second,
		AskEvery:      40 * time.Millisecond,
		AskTimes:      3,
		AskAgain:      time.Second,
		RankStep:      30 * time.Millisecond,
		ResumeWait:    50 * time.Millisecond,
		ResumeCheck:   300 * time.Millisecond,
		ResumeTimes:   2,
		ResumeEvery:   30 * time.Millisecond,
		VerdictFresh:  1500 * time.Millisecond,
		SwapWait:      200 * time.Millisecond,
		SwapFresh:     time.Second,
		LookFor:       300 * time.Millisecond,
		GiveAsk:       20 * time.Millisecond,
		GiveBound:     500 * time.Millisecond,
		FailedFirst:   2 * time.Second,
		FailedFor:     time.Minute,
		FlapLimit:     3,
		FlapWindow:    3 * time.Minute,
		FlapPause:     3 * time.Minute,
		FlapHold:      10 * time.Second,
	}
}
