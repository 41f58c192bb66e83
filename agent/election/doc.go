// SPDX-License-Identifier: Apache-2.0

// Package election decides, for one Lease, whether this node speaks for the addresses of
// a Service: a pure state machine, stepped by the agent's loop with everything that
// happens and with the time at which it happened.
//
//	Step(state, now, event) → (state, actions)
//
// It promises that of all nodes that step it truthfully at most one has a voice, provided
// that no node's clock stands still for more than the margin (Config.Margin), and that a
// speaker that falls silent is replaced. It knows neither API nor wire: what must be
// read, written, asked or announced it gives as actions, and the results come back as
// events. It holds no clock: a Time is a reading of the node's boot clock, which counts
// suspended time, and no other node's time is ever compared with it.
//
// A speaker's right ends by itself: an answer needs a heartbeat that was sent less than
// LeaseDuration - Margin ago and came back on the watch that carries the Leases (Heart).
// A standby acts only after the heartbeat stood unchanged for a whole LeaseDuration by
// reads of its own, and after asking on the wire in vain.
package election
