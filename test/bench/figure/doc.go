// SPDX-License-Identifier: Apache-2.0

// Package figure holds what a benchmark measured: figures with a target and a peer's figure beside them, as one line of
// JSON each, and rows of a Markdown table. It is pure.
package figure
