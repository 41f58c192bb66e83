// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Arpeggio as its users meet it: installed with one manifest on a real
// cluster, and judged by what a client on the LAN sees, its neighbour table, its requests
// and a capture at the switch. What the API says is held against that, not taken for it.
//
// The tests need root and what "make image manifests" builds. They share one cluster (see
// test/cluster) and run one after the other; KEEP=1 leaves it running, with Arpeggio
// installed.
package e2e
