// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// unansweredEvery is how often the log tells of one interface, whatever arrives there.
const unansweredEvery = 10 * time.Second

// unanswered is how many questions for this node's VIPs the gate had left unanswered on an
// interface when the log last told of it.
type unanswered struct {
	drops [neighbor.NumDrops]uint64
	at    election.Time // 0: never
}

// more gives what has been left unanswered since by the name of the reason, as the log takes
// it; nothing if there is nothing to tell, or not yet.
func (u *unanswered) more(now election.Time, drops [neighbor.NumDrops]uint64) (reasons []any) {
	if u.at != 0 && now-u.at < unansweredEvery {
		return nil
	}
	for d := neighbor.DropNone; d < neighbor.NumDrops; d++ {
		if d.Gate() && drops[d] > u.drops[d] {
			reasons = append(reasons, d.String(), drops[d]-u.drops[d])
		}
	}
	if len(reasons) > 0 {
		u.drops, u.at = drops, now
	}
	return reasons
}

// tellUnanswered has the log tell why this node hesitated to answer for what it speaks for.
func (p *ports) tellUnanswered(now election.Time) {
	for name, o := range p.open {
		if reasons := o.unanswered.more(now, o.port.Counters().Drops); len(reasons) > 0 {
			p.log.Info("questions left unanswered", append([]any{"interface", name}, reasons...)...)
		}
	}
}
