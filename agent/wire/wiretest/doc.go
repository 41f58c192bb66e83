// SPDX-License-Identifier: Apache-2.0

// Package wiretest is a segment in memory for tests of what stands above the wire: ports
// that behave as those of package wire do, joined by a switch whose cables can be pulled
// and whose frames can be lost or seen. Hosts stand for gateways and other kernels.
//
// Frames are delivered at once, in the goroutine of the sender, and in the order in which
// the ports were plugged in, so a test with the clock of testing/synctest always takes the
// same course. The rules are those of package neighbor, unchanged; sockets, filters and
// group membership are not imitated.
package wiretest
