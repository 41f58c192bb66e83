// SPDX-License-Identifier: Apache-2.0

// Package link tells which interfaces of this node can carry a VIP, what they are like, and
// when that changes, by netlink.
//
// It promises: nothing is polled, a change is told within some tens of milliseconds, and
// what is told is a whole picture that never mixes two moments of one interface for long:
// every event leads to another reading. It needs no capability.
//
// It changes nothing on any interface, and does not choose among them for an address; that
// is v1alpha1.Facts.Choose.
package link
