// SPDX-License-Identifier: Apache-2.0

// Package lease carries the election's reads and writes to the API server and what
// happens there back to the agent's loop: the watch of Leases and VIPAnnouncements, the
// own heartbeat and facts, reads of other nodes' heartbeats, and compare-and-swap.
//
// It promises that Leases and heartbeat echoes arrive in the order in which the server
// made them, on one stream, and that heartbeats, writes and watches each have a
// connection of their own, so that one that hangs does not hold up the others. It decides
// nothing.
package lease
