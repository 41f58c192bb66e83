// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// unansweredEvery is how often the log tells of one interface, whatever arrives there.
const unansweredEvery = 10 * time.Second

// unanswered is how many questions for this node's VIPs the gate had left unanswered on an
// interface, and how many frames were lost there, when the log last told of it.
type unanswered struct {
	counted wire.Counters
	at      election.Time // 0: never
}

// more gives what has been left unanswered or lost since by the name of the reason, as the log
// takes it; nothing if there is nothing to tell, or not yet.
func (u *unanswered) more(now election.Time, c wire.Counters) (reasons []any) {
	if u.at != 0 && now-u.at < unansweredEvery {
		return nil
	}
	add := func(name string, is, was uint64) {
		if is > was {
			reasons = append(reasons, name, is-was)
		}
	}
	for d := neighbor.DropNone; d < neighbor.NumDrops; d++ {
		if d.Gate() {
			add(d.String(), c.Drops[d], u.counted.Drops[d])
		}
	}
	add("queue_full", c.Overflows, u.counted.Overflows)
	add("unheard", c.HeardLost, u.counted.HeardLost)
	if len(reasons) > 0 {
		u.counted, u.at = c, now
	}
	return reasons
}

// tellUnanswered has the log tell why this node hesitated to answer for what it speaks for.
func (p *ports) tellUnanswered(now election.Time) {
	for name, o := range p.open {
		if reasons := o.unanswered.more(now, o.port.Counters()); len(reasons) > 0 {
			p.log.Info("questions left unanswered", append([]any{"interface", name}, reasons...)...)
		}
	}
}
