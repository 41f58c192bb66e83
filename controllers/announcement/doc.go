// SPDX-License-Identifier: Apache-2.0

// Package announcement writes, for each Service that has addresses from us or asks for
// them, who may speak for them: the VIPAnnouncement and the Lease that its agents contend
// for.
//
// It promises that a node is excluded by name only on somebody's explicit word, that
// nothing is written while nothing changes, and that the status is the speaking agent's: it
// writes there only while the Lease has no holder (docs/architecture.md).
//
// While package sight does not believe what the manager sees, nothing is written; Events
// on the Namespace of the installation say so and when it is over, and the metric
// arpeggio_manager_blind is 1. Deletions of Services are carried out all the same: each is
// checked with the API server.
//
// A speaker whose heartbeat is overdue is ordered to be replaced (spec.displace) when the
// Service's ready endpoints have changed since that heartbeat, or a minute has gone by.
//
// It does not say who speaks, nor whether a node lives.
package announcement
