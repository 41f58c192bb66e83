// SPDX-License-Identifier: Apache-2.0

// Package wire is the edge between the pure rules of package neighbor and the network: a
// Port per interface holds the sockets, asks the table what to do with each frame, sends
// the answers, passes on what was heard, and announces.
//
// It promises: no frame is answered or sent as a claim without a look at the gate; the way
// from frame to answer allocates nothing and takes no lock, but for the tenth of a second
// after a higher voice was heard, when it shares one with what else the port sends; a
// socket that dies, an interface that goes or comes, a missing permission or a full queue
// are survived, counted and shown, never spun on. The kernel drops what is about no address
// of the table (package filter), and never what is about one. Solicited-node groups are joined at
// the card alone, so that their number costs the kernel nothing, and switches are told of them by
// package mld. Echo requests have sockets of
// their own while the table wants them answered, and neither their number nor a failure there
// touches ARP and neighbor discovery.
//
// It puts no address on any interface and needs no capability but NET_RAW, which it raises
// only for the moment in which a socket is opened. It decides nothing: who speaks for an
// address stands in the table, and what is heard goes to whoever reads the channel.
package wire
