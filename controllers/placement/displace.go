// SPDX-License-Identifier: Apache-2.0

package placement

import "time"

// outlived is how long a heartbeat is overdue before its node's Services may be taken from
// it although it answers.
const outlived = time.Minute

// Displacement is what decides whether a speaker may be replaced although it still
// answers. Such a one is most often a node that is cut off from the API server, whose
// kube-proxy then goes by endpoints of the past. All times are on one steady clock of the
// manager's.
type Displacement struct {
	// Now is the time.
	Now time.Duration
	// Heard is when the last heartbeat of the speaker's node arrived, and Lasts how long it
	// holds good.
	Heard, Lasts time.Duration
	// Changed is when the ready endpoints of the Service changed last; EndpointsKnown: they
	// did since the manager began to look.
	Changed        time.Duration
	EndpointsKnown bool
	// Successor: another candidate is heard. It could take over, and it shows that the
	// manager hears heartbeats at all.
	Successor bool
}

// Overdue tells whether the heartbeat of the speaker's node does not hold good any more.
func (d Displacement) Overdue() bool { return d.Now >= d.Heard+d.Lasts }

// Decide tells whether the speaker may be replaced and, if it is overdue and may not yet,
// after what time to ask again if nothing changes before.
func (d Displacement) Decide() (order bool, in time.Duration) {
	overdue := d.Heard + d.Lasts
	switch {
	case !d.Overdue():
		return false, 0
	case !d.Successor:
		return false, d.Lasts
	case d.EndpointsKnown && d.Changed > d.Heard:
		return true, 0
	case d.Now < overdue+outlived:
		return false, overdue + outlived - d.Now
	}
	return true, 0
}
