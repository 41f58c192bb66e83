// SPDX-License-Identifier: Apache-2.0

// Package memory keeps on disk what an agent must know to go on when it is started again
// while the API server is away: the announcements, the Leases of Services as they were last
// seen, and the facts of peers.
//
// It is what was last seen, not what is: an agent that reads it asks on the wire before it
// speaks, and what the API server says later counts. Its loss costs no more than the wait
// for the API server.
//
// It promises that a file is whole or refused: it is written beside the old one, synced and
// renamed, and ends with the number and the checksum of its lines. Reading it takes bounded
// space whatever it holds. Only the agent's user can read it; it holds nothing secret.
package memory
