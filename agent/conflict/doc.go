// SPDX-License-Identifier: Apache-2.0

// Package conflict finds out whether somebody else uses an address of this cluster: it probes
// an address before its first use (RFC 5227 section 2.1.1, RFC 4862 section 5.4), listens as
// long as this node speaks for it, tells foreign hosts from proxies and from other announcers on
// the cluster's own nodes, and says when to defend (RFC 5227 section 2.4).
//
// It promises: the marked frames of peers are never a conflict; a device that answers for
// everything is found out by questions for addresses that nobody has, and holds nothing back; what
// arrives costs bounded memory, and however much of it arrives leads to a bounded number of
// frames and reports. The same events and the same seed give the same outputs.
//
// It holds no clock, socket, log or goroutine: time is a reading of the node's boot clock that
// comes with every event, and what has to be done comes as an Output. What a conflict means for
// an election, a pool or a user is decided elsewhere.
package conflict
