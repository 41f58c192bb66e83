// SPDX-License-Identifier: Apache-2.0

package election

import "time"

// flaps follows the changes of a Lease's holder. Fabrics count them too, and suppress an
// address that moves too often; and each move breaks connections.
type flaps struct {
	at    [maxFlaps]Time // the last changes, a ring
	count int
	level int  // of the next pause
	until Time // the end of the present one
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
	if often := f.count >= limit && now-f.at[(f.count-limit)%maxFlaps] <= c.FlapWindow; often || now < f.until {
		f.until = now + c.FlapPause<<min(f.level, 2)
		f.level = min(f.level+1, 4)
	}
	return f
}

// Calm is for how long nobody's wish moves the Lease, and the wire's verdict only with
// Patience; zero: it may move.
func (s State) Calm(now Time) time.Duration { return max(0, s.flaps.until-now) }

// Patience is how long the holder must have been dead on the wire while the Lease flaps.
func (s State) Patience(now Time) time.Duration {
	if s.Calm(now) == 0 {
		return 0
	}
	return s.Config.FlapHold << max(0, s.flaps.level-1)
}
