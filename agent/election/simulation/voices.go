// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

const (
	ghostMax = 250*time.Millisecond + wireMax
	// recently is how long after the API was out of reach its word may not be heard yet:
	// dials, lists, retransmissions.
	recently = 12 * time.Second
)

// overlap is a time in which a client hears two nodes for one address.
type overlap struct {
	a, b  *host
	from  time.Duration
	clear time.Duration // since when the two hear each other, if they do
	loose time.Duration // until when neither looked for the other
	wire  bool          // one of them spoke without the Lease
	seen  bool
}

// voices checks that the client hears one node at most.
func (c *checker) voices(w *world, s *spot) {
	if len(s.heard) < 2 {
		s.both = s.both[:0]
		return
	}
	for i := range s.both {
		s.both[i].seen = false
	}
	for i, a := range s.heard {
		for _, b := range s.heard[i+1:] {
			c.overlap(w, s, s.pair(a, b, w.now))
		}
	}
	kept := s.both[:0]
	for _, o := range s.both {
		if o.seen {
			kept = append(kept, o)
		}
	}
	s.both = kept
}

func (s *spot) pair(a, b *host, now time.Duration) *overlap {
	for i := range s.both {
		if o := &s.both[i]; o.a == a && o.b == b {
			o.seen = true
			return o
		}
	}
	s.both = append(s.both, overlap{a: a, b: b, from: now, clear: now, seen: true})
	return &s.both[len(s.both)-1]
}

// overlap finds the cause of two voices, and holds its bound against them.
func (c *checker) overlap(w *world, s *spot, o *overlap) {
	seg := w.segments[s.place.Segment]
	older, newer := o.a.proc.reigns[s.lease], o.b.proc.reigns[s.lease]
	if older.voice.UID != newer.voice.UID && w.store.order[older.voice.UID] > w.store.order[newer.voice.UID] ||
		older.voice.UID == newer.voice.UID && older.voice.Transitions > newer.voice.Transitions {
		older, newer = newer, older
	}
	// What the receiver of a handover takes by itself is to the giver the same as its gift.
	given := w.store.handed(older, newer) || older.state.Phase() == election.Giving
	leaves := older.proc.leaving || newer.proc.leaving
	lasts, cause, bound := w.now-o.from, Crossing, seg.crossing()
	haunted := older.haunts(newer) || newer.haunts(older)
	if !haunted {
		o.loose = w.now
	}
	resumed := haunted && max(older.resumed, newer.resumed) >= o.from
	missed := max(o.a.woken, o.b.woken, seg.healed[o.a.index][o.b.index])
	switch rough := max(o.a.rough, o.b.rough, missed); {
	case !seg.hears(o.a, o.b):
		o.clear = w.now
		o.wire = o.wire || older.standing == election.Wire || newer.standing == election.Wire
		cause, bound = c.deaf(w, older, o.wire, given)
	case leaves && older.standing != newer.standing: // what it asked for on the wire, its loop has to hear
		bound += 35 * time.Millisecond
	case given && rough >= o.from-5*time.Second:
		cause, bound = Reclaimed, c.reclaim(w)
	case missed >= o.from-ghostMax || o.clear > o.from || resumed:
		cause, bound, lasts = Ghost, ghostMax+w.lateness(), w.now-max(o.from, o.clear, missed)
		switch {
		case !haunted:
			cause, bound = Third, recently
		case resumed: // the first may be asked while it is muted
			bound += ghostMax
		default:
			lasts = min(lasts, w.now-o.loose)
		}
	}
	c.Overlaps[cause] = max(c.Overlaps[cause], lasts)
	if lasts > bound {
		c.failf("voices: %s in %s/%d and %s in %s/%d both speak for %s, %s (%s)", older.proc.host.name, older.voice.UID, older.voice.Transitions,
			newer.proc.host.name, newer.voice.UID, newer.voice.Transitions, s.addr, lasts, cause)
	}
}

// haunts tells whether a voice knows that it replaced the other.
func (r *reign) haunts(o *reign) bool { return r.state.Ghost() == o.proc.host.name }

// deaf: they cannot hear each other.
func (c *checker) deaf(w *world, older *reign, wire, given bool) (Cause, time.Duration) {
	h := older.proc.host
	switch {
	case !h.api() || w.now < h.cutUntil+recently || h.woken > 0 && w.now < h.woken+recently || older.proc.leases.missed:
		if older.echo { // it needs heartbeats
			return Apart, older.proc.config.LeaseDuration
		}
		return Apart, time.Hour
	case given:
		return Reclaimed, c.reclaim(w)
	case wire: // it first writes itself, or asks the one that is named
		return Told, 2*(w.Lag+2*w.Latency) + swapTime + 2*time.Second
	default:
		return Told, w.Lag + 2*w.Latency + w.lateness()
	}
}

func (c *checker) reclaim(w *world) time.Duration {
	e := w.hosts[0].config()
	return e.GiveBound + 2*swapTime + e.LeaseDuration - e.Margin
}

func (h *host) config() election.Config { return election.Defaults(h.name) }

// lateness is how late a loop may wake in this world.
func (w *world) lateness() time.Duration {
	if w.Busy {
		return 100 * time.Millisecond
	}
	return 5 * time.Millisecond
}

// crossing is how long a frame is under way.
func (s *segment) crossing() time.Duration {
	if s.delayed > 0 {
		return 100 * time.Millisecond
	}
	return wireMax
}

// hears tells whether marked frames get from each of two nodes to the other.
func (s *segment) hears(a, b *host) bool {
	return s.bare == 0 && s.tells(a, b) && s.tells(b, a)
}

func (s *segment) tells(a, b *host) bool {
	return s.way(a.index, b.index, false) && a.mute[s.index] == 0 && s.powered(a.index) && s.powered(b.index)
}

// handed tells whether the older voice ended its epoch by its own hand for another, or took
// back what it had given.
func (s *store) handed(older, newer *reign) bool {
	next := s.hands[epoch{older.voice.UID, older.voice.Transitions + 1}]
	if next.by == older.proc.host.name && next.holder != "" && next.holder != next.by {
		return true
	}
	gift := s.hands[epoch{older.voice.UID, older.voice.Transitions}]
	back := s.hands[epoch{newer.voice.UID, older.voice.Transitions + 1}]
	return gift.by != gift.holder && back.by == gift.by && back.holder == back.by
}
