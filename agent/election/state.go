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

	voice    Lease // the epoch in which this node speaks; zero UID: it does not
	standing Standing
	muted    bool   // it was interrupted, and asks before it speaks again
	disputed bool   // another one was heard in another Lease, and the own is read
	disputer string // whose that was
	heardAt  Time   // when; zero: never
	waits    bool   // disputed: it does not speak meanwhile
	ghost    string // the last node that may speak without a right to it
	contact  bool   // a peer was heard in this epoch
	wireAt   Time   // since when the standing is Wire, or it was interrupted
	checkAt  Time   // standing Wire: no read or write of the Lease before
	named    Lease  // standing Wire: another node's epoch, found on the way back
	namedAt  Time

	audible  bool    // the holder is heard on the wire
	dead     verdict // of the detector, about the holder
	left     verdict // a node that speaks said that it ends
	leaver   string  // which
	recalled bool    // the Lease is from disk
	epochAt  Time    // when the Lease was first known in this epoch
	flaps    flaps

	cause   Why   // Asking, Swapping, Confirming: why the voice is wanted
	origin  Time  // when the suspicion, or the gift, was first seen
	asked   int   // questions sent in this round
	askedAt Time  // when the last one was sent
	before  Lease // the Lease when another node held it last
	heldAt  Time  // when the Lease was first known to name this node in this epoch
	holdOff Time  // no new attempt before

	attempt int    // numbers Swaps; only the last one's result counts
	writing bool   // that result is not back yet
	wrote   Lease  // what that Swap is to make of the Lease
	swapAt  Time   // when it was sent
	doubted bool   // a voice was heard meanwhile, or something was missed
	rival   string // whose voice that was
	bid     bid    // the last write in this node's own name; zero once it spoke

	reading bool  // a quorum read is not back yet, in whatever phase it was asked for
	readAt  Time  // when it was asked for
	readOf  Lease // what was known then
	behind  bool  // the watch showed an older epoch than is known: one of the two is wrong
	since   Time  // when it last did
	unread  bool  // Confirming: it failed, the API server is away
	again   bool  // Confirming: begin anew
	readyAt Time  // Confirming: not before

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
}

// bid is a write of this node's own name. It may be committed although the API said
// otherwise, so what made it is remembered until this node spoke.
type bid struct {
	uid         string
	transitions int32
	cause       Why
	origin      Time
	from        string // the holder it was to replace
	seen        string // that holder's heartbeat, which stood still
}

// verdict is something that holds for one epoch, and for a while.
type verdict struct {
	of   Lease // the epoch; zero: no verdict
	at   Time
	dead Dead
}

type failure struct {
	node  string
	at    Time
	pause time.Duration // for which it is passed over
	over  bool
}

// Phase tells what the machine is about.
func (s State) Phase() Phase { return s.phase }

// Wake is when the machine wants a Tick at the latest; Never: not at all.
func (s State) Wake() Time { return s.wake }

// Doubted tells whether something was heard or missed since a Swap was asked for that takes the
// sense from it: while it is not sent yet, it may be given up (SwapDone.Unsent).
func (s State) Doubted() bool { return s.phase == Swapping && s.doubted }

// Policy is the policy in force.
func (s State) Policy() Policy { return s.policy }

// Lease is the Lease as the machine knows it; the zero Lease: none.
func (s State) Lease() Lease { return s.lease }

// Voice tells the epoch in which this node speaks; ok is false when it does not.
func (s State) Voice() (epoch Lease, ok bool) { return s.voice, s.voice.UID != "" }

// Standing is the right by which this node speaks, where it does.
func (s State) Standing() Standing { return s.standing }

// Muted tells whether the voice has to wait: it was interrupted, or disputed.
func (s State) Muted() bool { return s.muted || s.disputed && s.waits }

// Ghost is a node that may speak without a right to it, while this one does, and is to be
// told: it was replaced without its own hand, did not take what it was given, or was heard.
// The last of them; empty: none.
func (s State) Ghost() string { return s.ghost }

// Since is when the Lease was first known in its present epoch.
func (s State) Since() Time { return s.epochAt }

// Stands tells whether this node may take over from the node that the Lease names, and
// whether it is one of the first two.
func (s State) Stands() (ok, near bool) {
	if !s.concerned() || s.lease.Holder == "" || s.lease.Holder == s.Config.Node || s.voice.UID != "" || !s.mayTake() {
		return false, false
	}
	return true, s.rank() < 2
}

// NeedsEcho tells whether the voice ends with the heartbeats: not where no other node
// could take over, and not where the others can be heard, and contradict.
func (s State) NeedsEcho() bool { return !s.contact && s.Contested() }

// Contested tells whether another node could take over.
func (s State) Contested() bool {
	return slices.ContainsFunc(s.policy.Candidates, func(n string) bool { return n != s.Config.Node })
}

// Follow is a heartbeat that the machine wants to be read.
type Follow struct {
	Node  string
	Every time.Duration // zero: now, once
}

// Follows lists the heartbeats that the machine wants to be read. One without an interval
// is to be read at once, and again if the read fails, until it is listed no more.
func (s State) Follows() []Follow {
	switch {
	case s.phase == Giving && s.give.stage == looking && !s.writing:
		var fs []Follow
		for _, n := range s.policy.Candidates {
			if s.eligible(n, s.give.begun) && !s.readSince(n, s.give.since) {
				fs = append(fs, Follow{Node: n})
			}
		}
		return fs
	case s.phase == Confirming && s.cause == OwnerSilent && s.bid.from != "" &&
		!s.readSince(s.bid.from, s.heldAt):
		return []Follow{{Node: s.bid.from}}
	case s.phase == Standby || s.phase == Asking || s.phase == Swapping:
		if s.lease.Holder == "" || s.lease.Holder == s.Config.Node || s.audible {
			return nil
		}
		return []Follow{{Node: s.lease.Holder, Every: s.followEvery()}}
	default:
		return nil
	}
}

// followEvery is how often the holder's heartbeat is to be read: the first two standbys
// keep pace with it, and hurry once it stood almost long enough to act on.
func (s State) followEvery() time.Duration {
	if s.rank() > 1 {
		return s.Config.IdleReadEvery
	}
	if p, ok := s.peer(s.lease.Holder); ok && p.last-p.since >= s.Config.LeaseDuration-s.Config.BeatEvery {
		return s.Config.BeatEvery / 8
	}
	return s.Config.BeatEvery
}

// peer is the heartbeat of a node as read from here.
func (s State) peer(node string) (peer, bool) {
	for _, p := range s.peers {
		if p.node == node {
			return p, true
		}
	}
	return peer{}, false
}

// readSince tells whether a node's heartbeat was read by a request sent at t or later.
func (s State) readSince(node string, t Time) bool {
	p, ok := s.peer(node)
	return ok && p.last >= t
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
func (s State) mayTake() bool { return s.rank() >= 0 && !s.barred() }

// barred tells whether this node must begin no voice, whatever the lists say.
func (s State) barred() bool {
	return s.leaving || s.policy.Excluded != "" || len(s.policy.Servable) == 0
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
	p, ok := s.peer(s.lease.Holder)
	if !ok {
		return 0, false
	}
	from := max(p.since, live)
	return from, p.last-from >= s.Config.LeaseDuration
}
