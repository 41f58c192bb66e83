// SPDX-License-Identifier: Apache-2.0

// Package election decides, for one Lease, whether this node speaks for the addresses of
// a Service: a pure state machine, stepped by the agent's loop with everything that
// happens and with the time at which it happened.
//
//	Step(state, now, event) → (state, actions)
//
// It promises that of all nodes that step it truthfully at most one has a right to speak,
// whatever the wire loses, as long as no clock stands still for more than the margin
// (Config.Margin). Two exceptions are wanted. A giver speaks on until it hears the
// receiver: one frame's way, or, where it hears nothing, GiveBound and the write that takes
// the Lease back, and the receiver then until it has seen that write, at most
// LeaseDuration - Margin. And a node that knows itself as the only candidate needs no
// heartbeat: cut off from the API it does not learn of others, who ask it before they act.
//
// The package knows neither API nor wire: what must be read, written, asked or announced
// it gives as actions, and the results come back as events. It holds no clock: a Time is a
// reading of the node's boot clock, which counts suspended time, and no other node's time
// is ever compared with it.
//
// A speaker's right ends by itself: an answer needs a heartbeat that was sent less than
// LeaseDuration - Margin ago and came back on the watch that carries the Leases (Heart).
// A standby acts only after the heartbeat stood unchanged for a whole LeaseDuration by
// reads of its own, and after asking on the wire in vain; and speaks only after one more
// read, behind its write, showed the heartbeat still unchanged.
//
// docs/architecture.md tells the whole; the package simulation puts it to the test.
package election
