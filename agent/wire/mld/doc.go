// SPDX-License-Identifier: Apache-2.0

// Package mld is the listener's part of Multicast Listener Discovery, by which switches that snoop
// learn behind which port a group's members are: version 2 (RFC 3810), and version 1 (RFC 2710)
// while a querier of that version is about. A Listener speaks for one card. It knows groups without
// source filters only: a member wants whatever anybody sends (EXCLUDE, no sources).
//
// It promises: a change is reported at once and again, a query is answered within the time that it
// gives, for any number of groups in as few frames as the MTU allows; whatever is heard, it costs
// bounded memory, no more frames than the pace allows, and there is at most one pending answer to
// general queries and one for each group. The same events and the same seed give the same frames.
//
// What it does otherwise than the RFCs:
//
//   - A query about sources is answered as one about the group (RFC 3810 section 6.2 would list
//     the sources): that says more, and nothing has to be remembered.
//   - In version 1 the report of another host does not suppress ours (RFC 2710 section 4): switches
//     that snoop keep reports from hosts, and need one of each port (RFC 4541 section 3).
//   - Reports wait for a link-local address. RFC 3590 section 4 would send them from :: before.
//   - A robustness of one is taken for two: with one there is no second report to make up for a
//     lost one.
//   - Where the pace does not allow all answers within the time that a query gives, they are late.
//   - A query whose hop-by-hop header has room for more than the Router Alert, and one that is not
//     sent to a group, is not read.
//
// The package is pure: it holds no clock, socket, log or goroutine. Time is a reading of the node's
// boot clock that comes with every event, and the frames to be sent are taken with Take.
package mld
