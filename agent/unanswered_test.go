// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// The log tells of a shut gate, at a pace that no flood changes, and never of what concerns
// another node's VIPs.
func TestUnansweredIsToldOnce(t *testing.T) {
	var u unanswered
	var drops [neighbor.NumDrops]uint64
	drops[neighbor.DropNoVoice] = 7
	want := func(at time.Duration, what string, reasons ...any) {
		t.Helper()
		if diff := cmp.Diff(reasons, u.more(at, drops)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	want(time.Second, "another node's")
	drops[neighbor.DropStale], drops[neighbor.DropHigher] = 3, 1
	want(2*time.Second, "the first", "stale", uint64(3), "higher_voice", uint64(1))
	want(time.Minute, "nothing new")
	drops[neighbor.DropStale] = 5
	want(time.Minute, "what is new", "stale", uint64(2))
	drops[neighbor.DropStale] = 500
	want(time.Minute+unansweredEvery-1, "too soon")
	want(time.Minute+unansweredEvery, "all that came meanwhile", "stale", uint64(495))
}
