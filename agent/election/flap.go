// SPDX-License-Identifier: Apache-2.0

package election

import "time"

// flaps follows the changes of a Lease's holder. Fabrics count them too, and suppress an
// address that moves too often; and each move breaks connections.
type flaps struct {
	at    [maxFlaps]Time // the last changes, a ring
	count int
	level int  // of the next pause
	until Time // the present pause
}

// maxFlaps bounds Config.FlapLimit.
const maxFlaps = 8

// note counts a change.
func (f flaps) note(now Time, c Config) flaps {
	limit := min(max(c.FlapLimit, 1), maxFlaps)
	if f.count > 0 && now-f.at[(f.count-1)%maxFlaps] > 10*c.FlapWindow {
		f = flaps{}
	}
	f.at[f.count%maxFlaps] = now
	f.count++
	if f.count < limit || now-f.at[(f.count-limit)%maxFlaps] > c.FlapWindow || now < f.until {
		return f
	}
	f.until = now + c.FlapPause<<f.level
	f.level = min(f.level+1, 2)
	return f
}

// Calm is how long the Lease is left where it is, as far as the wire alone would move it or
// somebody wants it elsewhere; zero: it may move.
func (s State) Calm(now Time) time.Duration { return max(0, s.flaps.until-now) }
