// SPDX-License-Identifier: Apache-2.0

// Package placement decides which nodes may speak for the addresses of a Service, and in
// what order they are preferred. It is pure: what is known of the nodes goes in, a Ranking
// comes out.
//
// It promises the same answer to the same question whatever the order of the nodes, that
// the owner stays first while it may speak, and that Services which are ranked one after
// the other are spread over equal nodes so that these differ by at most one (ADR 7). Spread
// is the ledger that counts for it.
//
// It is policy, not liveness: a silent node is ranked last and never left out, because
// whether a node lives is the agents' business (docs/architecture.md). Only nodes that must
// not speak are excluded by name.
package placement
