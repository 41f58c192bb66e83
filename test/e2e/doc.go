// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Arpeggio as its users meet it: installed with one manifest on a real
// cluster, and judged by what a client on the LAN sees, its neighbour table, its requests
// and a capture at the switch. What the API says is held against that, not taken for it.
//
// The tests need root and what "make image manifests" builds. TestArpeggio runs on one
// cluster (see test/cluster), one test after the other, TestNetworks on another, with two
// LANs; KEEP=1 leaves the last one running, with Arpeggio installed.
//
// Bounds are for a busy machine: they tell a takeover that was decided on the wire from one
// that waited for a heartbeat, and a handover from an outage. How long it takes on an idle
// one is what test/bench/failover measures.
package e2e
