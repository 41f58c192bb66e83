// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// laterFor is how long a later epoch that was heard keeps a port from answering. It only
// has to last until the control loop has taken what was heard and set another table; a
// forged mark silences for no longer.
const laterFor = 100 * time.Millisecond

// later remembers, for one socket, whose voices a later epoch of the same Lease has ended,
// before the loop knows it: a port that goes on answering meanwhile is a second voice. Not
// safe for concurrent use. The zero value is ready.
type later map[netip.Addr]epoch

type epoch struct {
	lease       [16]byte
	transitions uint32
	until       time.Duration
}

// heard notes a marked answer or claim of an epoch that is later than that of the entry.
func (l *later) heard(h neighbor.Heard, e neighbor.Entry, now time.Duration) {
	if !h.Marked || h.Sound != neighbor.HeardAnswer && h.Sound != neighbor.HeardClaim {
		return
	}
	if !e.Voice || h.Mark.LeaseUID != e.LeaseUID || h.Mark.Transitions <= e.Transitions {
		return
	}
	if *l == nil {
		*l = later{}
	}
	(*l)[h.Addr] = epoch{lease: e.LeaseUID, transitions: h.Mark.Transitions, until: now + laterFor}
}

// over tells whether the entry's voice is one that a later epoch has ended.
func (l later) over(e neighbor.Entry, now time.Duration) bool {
	if len(l) == 0 {
		return false
	}
	heard, ok := l[e.Addr]
	if ok && now >= heard.until {
		delete(l, e.Addr)
		return false
	}
	return ok && heard.lease == e.LeaseUID && heard.transitions > e.Transitions
}
