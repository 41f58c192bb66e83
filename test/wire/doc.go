// SPDX-License-Identifier: Apache-2.0

// Package wire holds the tests of agent/wire and agent/link with real sockets: hosts are
// network namespaces on a bridge, clients are this machine's own kernel, arping and ndisc6.
// They need root; without it they are skipped, but under CI=true they fail.
package wire
