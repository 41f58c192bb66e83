// SPDX-License-Identifier: Apache-2.0

package election

import (
	"math"
	"slices"
	"time"
)

// Phase is what the machine is about.
type Phase uint8

// Phases. A machine has its voice in Speaking, and in Giving until the receiver is heard.
const (
	Idle       Phase = iota // not concerned: no policy, no Lease, not a candidate
	Standby                 // another node holds the Lease; this one watches
	Asking                  // a reason to take the Lease; asking on the wire first
	Swapping                // writing the Lease
	Confirming              // the Lease names this node; reading and asking before it speaks
	Speaking                // this node speaks
	Giving                  // handing over
)

// String names the phase for logs.
func (p Phase) String() string {
	return [...]string{"Idle", "Standby", "Asking", "Swapping", "Confirming", "Speaking", "Giving"}[p]
}

// Never is the Wake of a machine that only waits for events.
const Never Time = math.MaxInt64

// State is one Lease as this node sees it. The zero value with a Config is the start;
// only Step makes others. A State is a value: old ones stay valid.
type State struct {
	Config Config

	policy    Policy
	hasPolicy bool
	lease     Lease // zero: none
	heart     Heart
	leaving   bool
	peers     []peer // heartbeats that are followed

	phase Phase
	wake  Time

	voice Lease // the epoch in which this node speaks; zero UID: it does not

	cause   Why   // Asking, Swapping: why the Lease is wanted
	origin  Time  // when the suspicion, or the gift, was first seen
	asked   int   // questions sent in this round
	askedAt Time  // when the last one was sent
	before  Lease // the Lease when another node held it last
	holdOff Time  // no new attempt before

	attempt int  // numbers Swaps; only the last one's result counts
	writing bool // that result is not back yet
	swapAt  Time // when it was sent
	doubted bool // a voice was heard meanwhile

	reading bool // Confirming: the quorum read is not back yet
	again   bool // Confirming: begin anew
	readyAt Time // Confirming: not before

	give   give
	failed []failure // nodes that did not take what was given
}

// peer is another node's heartbeat as read from here.
type peer struct {
	node    string
	seen    string
	since   Time // when the answer came that first showed this value
	last    Time // when the youngest read that still showed it was sent
	leaving bool
	read    bool
}

type failure struct {
	node  string
	until Time
}

// Phase tells what the machine is about.
func (s State) Phase() Phase { return s.phase }

// Wake is when the machine wants a Tick at the latest; Never: not at all.
func (s State) Wake() Time { return s.wake }

// Policy is the policy in force.
func (s State) Policy() Policy { return s.policy }

// Lease is the Lease as the machine knows it; the zero Lease: none.
func (s State) Lease() Lease { return s.lease }

// Voice tells the epoch in which this node speaks; ok is false when it does not.
func (s State) Voice() (epoch Lease, ok bool) { return s.voice, s.voice.UID != "" }

// NeedsEcho tells whether the voice ends with the heartbeats: not where no other node
// could take over.
func (s State) NeedsEcho() bool {
	return slices.ContainsFunc(s.policy.Candidates, func(n string) bool { return n != s.Config.Node })
}

// Follow is a heartbeat that the machine wants to be read.
type Follow struct {
	Node  string
	Every time.Duration // zero: now, once
}

// Follows lists the heartbeats that the machine wants to be read.
func (s State) Follows() []Follow {
	switch {
	case s.phase == Giving && s.give.stage == looking:
		var fs []Follow
		for _, n := range s.policy.Candidates {
			if n != s.Config.Node {
				fs = append(fs, Follow{Node: n})
			}
		}
		return fs
	case s.phase == Standby || s.phase == Asking || s.phase == Swapping:
		if s.lease.Holder == "" || s.lease.Holder == s.Config.Node {
			return nil
		}
		every := s.Config.BeatEvery
		if s.rank() > 1 {
			every = s.Config.IdleReadEvery
		}
		return []Follow{{Node: s.lease.Holder, Every: every}}
	default:
		return nil
	}
}

// rank is this node's place among the candidates, the holder left out; -1: none.
func (s State) rank() int {
	r := 0
	for _, n := range s.policy.Candidates {
		switch n {
		case s.Config.Node:
			return r
		case s.lease.Holder:
		default:
			r++
		}
	}
	return -1
}

// mayTake tells whether this node may take the Lease at all.
func (s State) mayTake() bool {
	return s.rank() >= 0 && !s.leaving && s.policy.Excluded == "" && s.policy.Unservable == ""
}

// concerned tells whether policy and Lease are there and belong together.
func (s State) concerned() bool {
	return s.hasPolicy && s.lease.UID != "" && len(s.policy.Addresses) > 0 &&
		s.lease.ServiceUID == s.policy.ServiceUID
}

// silentSince applies rule (c): the holder's heartbeat stood unchanged, by reads from here,
// over a whole LeaseDuration, in which all own heartbeats came back.
func (s State) silentSince(now Time) (Time, bool) {
	live, ok := s.heart.LiveSince(now, s.Config.BeatEvery)
	if !ok {
		return 0, false
	}
	for _, p := range s.peers {
		if p.node == s.lease.Holder && p.read {
			from := max(p.since, live)
			return from, p.last-from >= s.Config.LeaseDuration
		}
	}
	return 0, false
}
