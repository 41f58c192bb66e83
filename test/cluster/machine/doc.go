// SPDX-License-Identifier: Apache-2.0

// Package machine makes processes into a machine: it starts a program as the first process of new PID, mount, UTS and
// IPC namespaces, inside an existing network namespace, and as that first process runs what a [Spec] lists.
//
// Killing the first process ends every other one of the machine at once, whoever started it, and its mounts with them.
// [Start], [Kill] and [Alive] are called from outside, [Run] is the first process itself (program lab-init).
// The caller creates the network namespace and decides what to run.
package machine
