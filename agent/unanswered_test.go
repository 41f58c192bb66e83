// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// The log tells of a shut gate, at a pace that no flood changes, and never of what concerns
// another node's VIPs.
func TestUnansweredIsToldOnce(t *testing.T) {
	var u unanswered
	var c wire.Counters
	c.Drops[neighbor.DropNoVoice] = 7
	want := func(at time.Duration, what string, reasons ...any) {
		t.Helper()
		if diff := cmp.Diff(reasons, u.more(at, c)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	want(time.Second, "another node's")
	c.Drops[neighbor.DropStale], c.Drops[neighbor.DropHigher] = 3, 1
	want(2*time.Second, "the first", "stale", uint64(3), "higher_voice", uint64(1))
	want(time.Minute, "nothing new")
	c.Drops[neighbor.DropStale] = 5
	want(time.Minute, "what is new", "stale", uint64(2))
	c.Drops[neighbor.DropStale] = 500
	want(time.Minute+unansweredEvery-1, "too soon")
	want(time.Minute+unansweredEvery, "all that came meanwhile", "stale", uint64(495))
	c.Overflows, c.HeardLost = 2, 1
	want(time.Hour, "what was lost", "queue_full", uint64(2), "unheard", uint64(1))
}
