// SPDX-License-Identifier: Apache-2.0

// Package health answers the kubelet's probes without a port: the two agents of an upgrade
// share the host's network, where a port has room for one. Each listens on an abstract unix
// socket (unix(7)) that bears its incarnation, and the kubelet asks by running a command in
// the container, which is Ask.
//
// It imports nothing of Kubernetes, so that the command that asks is small. Abstract sockets
// have no owner: every process in the host's network can connect to one, or listen in its
// place. Both sides ask the kernel for the other's user and talk only to their own.
package health
