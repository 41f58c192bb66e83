// SPDX-License-Identifier: Apache-2.0

// Package simulation plays schedules of faults against the real election state machines:
// some nodes on one segment, one Lease in a store with compare-and-swap, watches that lag
// and break, heartbeats, lossy wires. Everything follows from a seed, and no real time
// passes. After every event it checks:
//
//  1. One voice. No two gates are open at a time, whatever the wire loses, but for giver
//     and receiver of a handover: until the giver hears the receiver, one frame's way
//     (wireMax). Where frames were lost or a node was paused, or a gift was taken back:
//     GiveBound, two writes, and LeaseDuration - Margin at most.
//  2. No silence. With a node that may speak alive and undisturbed, somebody speaks within
//     LeaseDuration + 3 BeatEvery + 2 s of the last fault; with more than three nodes
//     2 IdleReadEvery later, because the first two standbys may be the dead ones. Planned
//     moves alone cause no silence at all.
//  3. Calm. From then on nothing changes and nothing is written, and who speaks is whom
//     the Lease names. Nobody ever takes the Lease of a node
//     that answers, and nobody hands it to and fro.
//
// A Lease that is deleted and made anew is held by its last holder again, as the manager
// makes it. A node that knows itself as the only candidate needs no heartbeat; while it is
// behind with the announcement, check 1 leaves it out.
package simulation
