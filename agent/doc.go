// SPDX-License-Identifier: Apache-2.0

// Package agent is one node's part: a single loop that takes everything that happens
// (Leases and announcements from the API, links from the kernel, voices from the wire,
// results of its own writes), steps the election of each announcement with it, and carries
// out what the elections ask for.
//
// The loop owns all state. Around it stand tasks that only carry: the watches, the
// heartbeat, one port a network interface, the reporter. This package is the only place
// that starts goroutines on the agent's side.
package agent
