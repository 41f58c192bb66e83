// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"

	"github.com/arpeggio-lb/arpeggio/agent/metrics"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// reading gives what a port has counted as it is shown.
func reading(c wire.Counters) metrics.Reading {
	return metrics.Reading{
		Figures: map[string]uint64{
			metrics.Frames: c.Frames, metrics.Requests: c.Requests, metrics.Replies: c.Replies,
			metrics.EchoRequests: c.Echoes, metrics.EchoReplies: c.EchoReplies,
			metrics.Announcements: c.Claims, metrics.Sent: c.Sent, metrics.SendErrors: c.SendErrors,
			metrics.Heard: c.Heard, metrics.HeardLost: c.HeardLost, metrics.Dials: c.Dials, metrics.GroupErrors: c.GroupErrors,
			metrics.Queries: c.Queries, metrics.QueryDrops: c.QueryDrops, metrics.Reports: c.Reports,
		},
		Drops:  maps.Collect(c.Dropped()),
		Groups: c.Groups,
	}
}
