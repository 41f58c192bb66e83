// SPDX-License-Identifier: Apache-2.0

// Package wire holds the tests of agent/wire and agent/link with real sockets: hosts are
// network namespaces on a bridge that snoops, clients are this machine's own kernel, arping,
// ndisc6 and ping, and tcpdump judges what is sent. They need root; without it, or without one
// of these tools, they are skipped, but under CI=true they fail.
//
// A kind of interface that the kernel was built without (bond, team, VLAN, VRF, dummy) is
// skipped everywhere, with the kernel's own words.
//
// Most of the tests wait for a kernel's timers, so eight run at a time; those that keep the
// machine busy run alone. Two have more to do
// when they are asked to: ARPEGGIO_FLOOD_RATE, in frames a second (make wire), and
// ARPEGGIO_PROBE_MINUTES (make soak-neighbors).
package wire
