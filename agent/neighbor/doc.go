// SPDX-License-Identifier: Apache-2.0

// Package neighbor decides what an agent says on the wire: it holds the table of the
// addresses one port (interface) knows, turns each received frame into a verdict, and
// builds the answers, questions and claims, ARP (RFC 826, RFC 5227) and neighbour
// discovery (RFC 4861) alike; and it answers who pings an address (RFC 792, RFC 4443).
//
// It promises: any bytes whatever give a verdict and never a panic; a question is answered
// only where every rule of the gate holds at that moment; the way from frame to answer
// allocates nothing and costs the same for one address and for thousands; the same
// inputs give the same verdict.
//
// It does not open sockets, read a clock or start anything, and remembers what it heard only
// for the moment in which the gate needs it (Rivals): who owns an address is decided
// elsewhere and arrives as a new Table. It does not judge what is heard either, it only
// says exactly what that was.
package neighbor
