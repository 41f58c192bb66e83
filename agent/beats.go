// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// beatRetry is the pause after a read of a heartbeat that failed.
const beatRetry = 250 * time.Millisecond

// beats holds the nodes whose heartbeats elections want to be read: one request serves
// all of them.
type beats map[string]*beat

// beat is another node's heartbeat.
type beat struct {
	reigns  map[*reign]time.Duration // by whom it is wanted, how often; zero: now
	every   time.Duration            // the shortest of these
	stale   bool                     // every is to be found anew
	asked   election.Time            // when the last read was sent; negative: never
	reading bool
	failed  bool
}

// follow takes what a reign wants to be read from now on.
func (b beats) follow(r *reign, wanted []election.Follow) {
	if slices.Equal(r.follows, wanted) {
		return
	}
	for _, f := range r.follows {
		n := b[f.Node]
		delete(n.reigns, r)
		n.stale = true
	}
	for _, f := range wanted {
		n := b[f.Node]
		if n == nil {
			n = &beat{reigns: map[*reign]time.Duration{}, asked: -1}
			b[f.Node] = n
		}
		n.reigns[r] = f.Every
		n.stale = true
	}
	r.follows = wanted
}

// due is when the next read is.
func (n *beat) due() election.Time {
	if n.stale {
		n.stale, n.every = false, slices.Min(slices.Collect(maps.Values(n.reigns)))
	}
	switch {
	case n.reading:
		return election.Never
	case n.asked < 0:
		return 0
	case n.failed:
		return n.asked + max(n.every, beatRetry)
	default:
		return n.asked + n.every
	}
}

// readPeers reads the heartbeats that are due, and tells when the next one is.
func (l *loop) readPeers(now election.Time) (next election.Time) {
	next = election.Never
	for node, n := range l.beats {
		if len(n.reigns) == 0 {
			if !n.reading {
				delete(l.beats, node)
			}
			continue
		}
		due := n.due()
		if due > now {
			next = min(next, due)
			continue
		}
		n.reading, n.asked = true, now
		l.calls.Go(func() { l.readPeer(l.ctx, node) })
	}
	return next
}

func (l *loop) readPeer(ctx context.Context, node string) {
	asked := l.now()
	b, err := l.leases.ReadBeat(ctx, node)
	in := peerRead{ok: err == nil, beat: election.PeerBeat{
		Node: node, Asked: asked, Came: l.now(), Seen: b.Seen, Leaving: b.Leaving,
	}}
	select {
	case l.in <- in:
	case <-ctx.Done():
	}
}

// peerRead gives a heartbeat to those who wanted it.
func (l *loop) peerRead(in peerRead) {
	n := l.beats[in.beat.Node]
	if n == nil {
		return
	}
	n.reading, n.failed = false, !in.ok
	if !in.ok {
		return
	}
	for _, r := range slices.Collect(maps.Keys(n.reigns)) {
		l.step(r, in.beat)
	}
}
