// SPDX-License-Identifier: Apache-2.0

// Package placement decides which nodes may speak for the addresses of a Service, and in
// what order they are preferred. It is pure: what is known of the nodes goes in, a Ranking
// comes out.
//
// It promises the same answer to the same question whatever the order of the nodes, that a
// node which leaves or joins changes nothing in the order of the others, and that the owner
// stays first while it may speak.
//
// It is policy, not liveness: a silent node is ranked last and never left out, because
// whether a node lives is the agents' business (docs/architecture.md). Only nodes that must
// not speak are excluded by name.
package placement
