// SPDX-License-Identifier: Apache-2.0

// Package simulation plays schedules of faults against the real machines: on each node one
// detector and an election for each Lease, driven as the agent's loop drives them, on some
// segments, with an API server that lags, hangs and forgets. Everything follows from a seed,
// and no real time passes.
//
// A Script is a world, a list of faults, and what is wanted of it; it is drawn from a seed
// (Draw), or written by hand in testdata. Run plays it, and Shrink makes one that fails as
// small as it will be while it still fails in the same way. After every event is checked:
//
//   - voices: no client hears two nodes for one address, but for a Cause, each with a bound of
//     its own: a claim under way, one ghost question, a gift that is taken back, a watch that
//     lags; and, as long as both last, two nodes that can neither hear each other nor be told
//     by the API.
//   - taking: nobody takes the Lease of a node that answers, and that it, or a third who would
//     vouch, could hear.
//   - silence, calm, status: LeaseDuration + 3 BeatEvery + 2 s after the last fault (with more
//     than three nodes 2 IdleReadEvery later, as the first two standbys may be the dead ones)
//     every VIP that somebody can serve is spoken for, nothing changes and nothing is written
//     any more, and the Lease names who speaks.
//   - flapping: the fourth takeover by the wire within three minutes waits for FlapHold.
//   - spin: no machine wants to be woken at once, no Lease is written eight times a second.
//   - want: the script's own figures.
//
// The client is the judge: a gate counts as open where the client's question and the answer
// get through. What a switch or a neighbour keeps in its tables is not played.
package simulation
