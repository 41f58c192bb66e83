// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"
)

// Cause is why two voices at a time are no violation, each with a bound of its own.
type Cause uint8

// The causes.
const (
	// Crossing: a claim is under way, or giver and receiver of a handover: one frame's way.
	Crossing Cause = iota
	// Ghost: the voice was stopped and no clock counted it, the wire between the two was
	// mended, a frame between them was lost, or one that was muted goes on and knows of the
	// other: one ghost question, in the last case two.
	Ghost
	// Third: the same, but neither looks for the other: it has not replaced it, has forgotten
	// so in a restart, or speaks in a Lease that was made anew. The watch tells, or the next
	// question of one that speaks without the Lease.
	Third
	// Reclaimed: giver and receiver of a handover cannot hear each other, or the gift is
	// taken back: GiveBound, two writes, and LeaseDuration - Margin.
	Reclaimed
	// Told: they cannot hear each other; the watch tells the older one.
	Told
	// Apart: they cannot hear each other, and the older one is told nothing by the API
	// either. Two faults: as long as both last.
	Apart
	causes
)

func (c Cause) String() string {
	return [...]string{"crossing", "ghost", "third", "reclaimed", "told", "apart"}[c]
}

// Result is what came of a run.
type Result struct {
	// Err is the violation that ended the run, "kind: what"; nil: none.
	Err error
	// Trace is the run's last events, one a line.
	Trace string
	// Overlaps are the longest times with two voices, by cause.
	Overlaps [causes]time.Duration
	// Dark is the longest time without a voice that the client hears, from the first one
	// on, and Settle the time from the last fault to a voice.
	Dark, Settle time.Duration
	// Moves counts the changes of speaker, as the clients hear it, of the Lease that had
	// most. Voices counts beginnings of a voice, Wire those by a verdict of the detector,
	// Writes those of Leases.
	Moves, Voices, Wire, Writes int
	// Asks is the highest number of the detector's questions of a node in a second.
	Asks int
	// Speaker is who was heard last for the first Lease; empty: nobody.
	Speaker string
}

// worst takes the worse of each figure.
func (r *Result) worst(o Result) {
	for i := range r.Overlaps {
		r.Overlaps[i] = max(r.Overlaps[i], o.Overlaps[i])
	}
	r.Dark, r.Settle = max(r.Dark, o.Dark), max(r.Settle, o.Settle)
	r.Moves, r.Voices, r.Wire, r.Writes = max(r.Moves, o.Moves), r.Voices+o.Voices, r.Wire+o.Wire, r.Writes+o.Writes
	r.Asks = max(r.Asks, o.Asks)
}

// String gives the figures on a line.
func (r Result) String() string {
	s := fmt.Sprintf("dark %s, again after %s, moves %d, voices %d (%d by the wire), writes %d, asks %d/s; two voices:",
		short(r.Dark), short(r.Settle), r.Moves, r.Voices, r.Wire, r.Writes, r.Asks)
	for i, d := range r.Overlaps {
		s += fmt.Sprintf(" %s %s", Cause(i), short(d))
	}
	return s
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
