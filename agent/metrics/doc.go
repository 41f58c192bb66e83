// SPDX-License-Identifier: Apache-2.0

// Package metrics shows what an agent counts, in the format of Prometheus.
//
// It promises: a counter never goes back while the process lives, also when an interface goes
// and comes; reading costs the reply path nothing; two agents of one node, during an upgrade, can
// serve the same address at once (SO_REUSEPORT, socket(7)). For the seconds that takes, a scrape
// shows the one or the other.
//
// It decides nothing and keeps no history. The endpoint asks for no password: bind it to an
// address that only the right people reach.
package metrics
