// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"iter"
	"sync/atomic"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Counters are what a port has counted since it was made.
type Counters struct {
	// Frames that passed the filter in the kernel, but for queries.
	Frames uint64
	// Requests are questions for an address of the table, answered or not.
	Requests uint64
	// Replies sent.
	Replies uint64
	// Echoes are echo requests that passed the filter, EchoReplies those answered, EchoLimited
	// those not looked at because there were too many a second.
	Echoes, EchoReplies, EchoLimited uint64
	// Drops by reason; those of requests are DropNoVoice and the gate's.
	Drops [neighbor.NumDrops]uint64
	// Overflows are frames that passed a filter and found the socket's queue full.
	Overflows uint64
	// Heard is what was passed on, HeardLost what was not because the channel was full.
	Heard, HeardLost uint64
	// Sent are frames sent unasked, Claims those of them that announce. Refreshes counts the
	// addresses announced for the switches' sake alone.
	Sent, Claims, Refreshes uint64
	// SendErrors are frames the kernel did not take.
	SendErrors uint64
	// Dials are attempts to open the sockets, EchoErrors are echo sockets that could not be
	// opened or died.
	Dials, EchoErrors uint64
	// Filters is how often filters of the addresses were attached.
	Filters uint64
	// Groups is the number of solicited-node groups joined now, GroupErrors of those that could
	// not be joined, or not be reported for lack of a link-local address, at each attempt.
	Groups, GroupErrors uint64
	// Queries of multicast listeners that were heeded, QueryDrops that were not: they were
	// malformed, or too many at once. Reports are frames sent for the groups' sake; they are not
	// among Sent.
	Queries, QueryDrops, Reports uint64
}

// The names of what is dropped before the table sees it.
const (
	dropOverflow = "queue_full"
	dropLimited  = "echo_rate"
)

// Dropped gives what was dropped by the name of the reason, those included that package
// neighbor does not know.
func (c Counters) Dropped() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for d := neighbor.DropNone + 1; d < neighbor.NumDrops; d++ {
			if !yield(d.String(), c.Drops[d]) {
				return
			}
		}
		_ = yield(dropOverflow, c.Overflows) && yield(dropLimited, c.EchoLimited)
	}
}

// tally is Counters for many goroutines at once.
type tally struct {
	frames, requests, replies, heard, heardLost, sent, claims          atomic.Uint64
	echoes, echoReplies, echoLimited, echoErrors, overflows, refreshes atomic.Uint64
	sendErrors, dials, filters, groups, groupErrors                    atomic.Uint64
	queries, queryDrops, reports                                       atomic.Uint64
	drops                                                              [neighbor.NumDrops]atomic.Uint64
}

func (t *tally) verdict(v neighbor.Verdict, echo bool) {
	t.frames.Add(1)
	switch {
	case echo:
		t.echoes.Add(1)
	case v.Question():
		t.requests.Add(1)
	}
	if v.Drop != neighbor.DropNone {
		t.drops[v.Drop].Add(1)
	}
}

// answered counts an answer that the kernel took, or did not.
func (t *tally) answered(err error, echo bool) {
	switch {
	case err != nil:
		t.sendErrors.Add(1)
	case echo:
		t.echoReplies.Add(1)
	default:
		t.replies.Add(1)
	}
}

func (t *tally) read() Counters {
	c := Counters{
		Frames: t.frames.Load(), Requests: t.requests.Load(), Replies: t.replies.Load(),
		Echoes: t.echoes.Load(), EchoReplies: t.echoReplies.Load(),
		EchoLimited: t.echoLimited.Load(), EchoErrors: t.echoErrors.Load(), Overflows: t.overflows.Load(),
		Heard: t.heard.Load(), HeardLost: t.heardLost.Load(),
		Sent: t.sent.Load(), Claims: t.claims.Load(), Refreshes: t.refreshes.Load(), SendErrors: t.sendErrors.Load(),
		Dials: t.dials.Load(), Filters: t.filters.Load(), Groups: t.groups.Load(), GroupErrors: t.groupErrors.Load(),
		Queries: t.queries.Load(), QueryDrops: t.queryDrops.Load(), Reports: t.reports.Load(),
	}
	for i := range t.drops {
		c.Drops[i] = t.drops[i].Load()
	}
	return c
}
