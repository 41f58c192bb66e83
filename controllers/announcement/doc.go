// SPDX-License-Identifier: Apache-2.0

// Package announcement writes, for each Service that has addresses from us or asks for
// them, who may speak for them: the VIPAnnouncement and the Lease that its agents contend
// for.
//
// It promises that a node is excluded by name only on somebody's explicit word, that
// nothing is written while nothing changes, and that the status is the speaking agent's: it
// writes there only while the Lease has no holder (docs/architecture.md).
//
// It does not say who speaks, nor whether a node lives.
package announcement
