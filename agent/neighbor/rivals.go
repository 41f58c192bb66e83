// SPDX-License-Identifier: Apache-2.0

package neighbor

import (
	"bytes"
	"cmp"
	"net/netip"
	"time"
)

const (
	// RivalLimit is how long a higher voice that was heard keeps a port silent. It only
	// has to last until the control loop has taken what was heard and set another table;
	// a forged mark silences for no longer.
	RivalLimit = 100 * time.Millisecond

	// maxRivals bounds the memory that forged marks can take.
	maxRivals = 4096
)

// Rivals remembers which of this node's voices a higher one has ended, before the control
// loop knows it: a port that goes on meanwhile is a second voice. A table with a voice that
// is higher still is not held back. The zero value is ready; it is not safe for concurrent
// use.
type Rivals struct {
	voices map[netip.Addr]rival
	last   time.Duration // when all of them are over
	swept  time.Duration // when those that are over were last looked for
}

type rival struct {
	rank
	until time.Duration
}

// rank orders the voices for one address: higher epoch, then Lease over wire, then the
// lower MAC.
type rank struct {
	lease       [16]byte
	transitions uint32
	standing    Standing
	card        MAC
}

// above is false for epochs of two Leases: they have no order.
func (a rank) above(b rank) bool {
	return a.lease == b.lease && cmp.Or(
		cmp.Compare(a.transitions, b.transitions),
		cmp.Compare(a.standing, b.standing),
		bytes.Compare(b.card[:], a.card[:]),
	) > 0
}

func rankOf(e Entry, card MAC) rank {
	return rank{lease: e.LeaseUID, transitions: e.Transitions, standing: e.Standing, card: card}
}

// Outranks tells whether what was heard is the answer or claim of a peer whose voice is
// higher than the entry's on this card.
func Outranks(h Heard, e Entry, card MAC) bool {
	if !h.Marked || !e.Voice || h.Sound != HeardAnswer && h.Sound != HeardClaim {
		return false
	}
	return heardRank(h).above(rankOf(e, card))
}

func heardRank(h Heard) rank {
	return rank{lease: h.Mark.LeaseUID, transitions: h.Mark.Transitions, standing: h.Mark.Standing, card: h.MAC}
}

// Hear notes what was heard about the entry's address, now by the boot clock.
func (r *Rivals) Hear(h Heard, e Entry, card MAC, now time.Duration) {
	if !Outranks(h, e, card) {
		return
	}
	r.forget(now)
	voice := heardRank(h)
	old, known := r.voices[e.Addr]
	if known && old.above(voice) {
		voice = old.rank
	}
	if !known && !r.room(now) {
		return
	}
	if r.voices == nil {
		r.voices = map[netip.Addr]rival{}
	}
	r.last = now + RivalLimit
	r.voices[e.Addr] = rival{rank: voice, until: r.last}
}

// Outrank tells whether a voice above the entry's was heard within RivalLimit.
func (r *Rivals) Outrank(e Entry, card MAC, now time.Duration) bool {
	r.forget(now)
	if len(r.voices) == 0 {
		return false
	}
	v, ok := r.voices[e.Addr]
	return ok && now < v.until && v.above(rankOf(e, card))
}

// Len is how many are remembered, those included that are over but not forgotten yet.
func (r *Rivals) Len() int { return len(r.voices) }

// forget drops everything once all of it is over.
func (r *Rivals) forget(now time.Duration) {
	if len(r.voices) > 0 && now >= r.last {
		clear(r.voices)
	}
}

// room makes room for one more, and tells whether there is. It looks through all no more
// than once in RivalLimit, whatever arrives.
func (r *Rivals) room(now time.Duration) bool {
	if len(r.voices) < maxRivals {
		return true
	}
	if now-r.swept < RivalLimit {
		return false
	}
	r.swept = now
	for addr, v := range r.voices {
		if now >= v.until {
			delete(r.voices, addr)
		}
	}
	return len(r.voices) < maxRivals
}
