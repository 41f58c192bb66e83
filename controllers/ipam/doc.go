// SPDX-License-Identifier: Apache-2.0

// Package ipam decides which addresses a Service gets. It is pure: sets of addresses,
// pools, and a ledger of what is claimed go in, a Decision comes out. It reads no clock,
// talks to nobody and holds no lock; a caller that shares a Ledger guards it.
//
// It promises that Decide gives the same answer to the same question, that it never
// chooses an address which the ledger knows to be somebody else's, that what a Service
// has is taken from it only because the Service asks for something else, and that its
// cost does not depend on the size of a pool: ranges are never enumerated.
//
// It does not promise that an address is free: the ledger may be behind the API server.
// Only the creation of the IPAddress object claims an address (docs/architecture.md).
package ipam
