// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// rushHour is how many writes of Leases under way, or waiting for their turn, make what is told
	// to people wait: when a thousand VIPs move, the addresses go first.
	rushHour  = 16
	rushLook  = 20 * time.Millisecond
	rushBound = 3 * time.Second
)

// rush counts the writes of Leases that are not done yet. A nil rush is none. Any goroutine may call it.
type rush struct{ writes atomic.Int32 }

func (r *rush) begin() {
	if r != nil {
		r.writes.Add(1)
	}
}

func (r *rush) end() {
	if r != nil {
		r.writes.Add(-1)
	}
}

// wait returns once there are few, or after rushBound.
func (r *rush) wait(ctx context.Context) {
	if r == nil {
		return
	}
	for end := time.Now().Add(rushBound); r.writes.Load() >= rushHour && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rushLook):
		}
	}
}
