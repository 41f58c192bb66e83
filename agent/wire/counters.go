// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync/atomic"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Counters are what a port has counted since it was made.
type Counters struct {
	// Frames that passed the filter in the kernel.
	Frames uint64
	// Requests are questions for an address of the table, answered or not.
	Requests uint64
	// Replies sent.
	Replies uint64
	// Drops by reason; those of requests are DropNoVoice and the gate's.
	Drops [neighbor.NumDrops]uint64
	// Heard is what was passed on, HeardLost what was not because the channel was full.
	Heard, HeardLost uint64
	// Sent are frames sent unasked, Claims those of them that announce.
	Sent, Claims uint64
	// SendErrors are frames the kernel did not take.
	SendErrors uint64
	// Dials are attempts to open the sockets.
	Dials uint64
	// Groups is the number of solicited-node groups joined now, GroupErrors of joins
	// that failed.
	Groups, GroupErrors uint64
}

// tally is Counters for many goroutines at once.
type tally struct {
	frames, requests, replies, heard, heardLost, sent, claims atomic.Uint64
	sendErrors, dials, groups, groupErrors                    atomic.Uint64
	drops                                                     [neighbor.NumDrops]atomic.Uint64
}

func (t *tally) verdict(v neighbor.Verdict) {
	t.frames.Add(1)
	if v.Question() {
		t.requests.Add(1)
	}
	if v.Drop != neighbor.DropNone {
		t.drops[v.Drop].Add(1)
	}
}

func (t *tally) read() Counters {
	c := Counters{
		Frames: t.frames.Load(), Requests: t.requests.Load(), Replies: t.replies.Load(),
		Heard: t.heard.Load(), HeardLost: t.heardLost.Load(),
		Sent: t.sent.Load(), Claims: t.claims.Load(), SendErrors: t.sendErrors.Load(),
		Dials: t.dials.Load(), Groups: t.groups.Load(), GroupErrors: t.groupErrors.Load(),
	}
	for i := range t.drops {
		c.Drops[i] = t.drops[i].Load()
	}
	return c
}
