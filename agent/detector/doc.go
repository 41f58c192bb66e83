// SPDX-License-Identifier: Apache-2.0

// Package detector finds out which speakers are dead on the wire: a pure core, stepped by
// the one goroutine that owns it with everything that is heard and with the time.
//
// A standby asks the card of each speaker, again and again, about the addresses it speaks
// for. A question without answer is repeated, to the card and to all; other candidates
// that hear it ask too and vouch for a speaker that answers them. A speaker is told dead
// (Dead) only if it was heard before in the same epoch, if nobody vouches for it, and if
// the gateway or most of the other witnesses of that segment answered meanwhile: then the
// loss is the speaker's alone. A node that was itself late, whose own link is broken or
// that loses many frames gives no verdict.
//
// A speaker watches too: whether peers hear it (Watched, Contacted), and whether the node
// that it replaced still answers (Ghost).
//
// What it does not do: it does not read or write the API, sends nothing, and takes no
// address over. A verdict is a reason to ask for the Lease while it is fresh, no more.
// Where no witness is known, there is never a verdict, and heartbeats must do.
//
// How to drive it: hand over what was heard before calling Tick, call Tick no later than
// Wake says (it moves with every call), carry out what Take gives after every call. A call
// that comes Config.Late after Wake counts as a stall of this node: what was waited for
// meanwhile is asked again. The same calls give the same outputs, whatever the machine.
//
// Cost: a question per stream (a speaker's card, an interface, a family) and interval,
// whatever the number of addresses, and never more than one per Config.IdleGap.
package detector
