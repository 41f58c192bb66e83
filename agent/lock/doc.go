// SPDX-License-Identifier: Apache-2.0

// Package lock is the lock of a node's voice. Of all agents of one installation on a node
// (an upgrade has two of them, and the container of one that was killed may come back
// beside another) only the one that holds the lock speaks.
//
// The lock is an abstract unix socket (unix(7)) in the host's network namespace: who
// listens on it has the voice. The kernel frees it when its last holder is dead, so there
// is nothing to clean up and no clock in it. An agent that finds it taken connects to the
// holder as its successor and waits. A holder that ends gives its voices to the successor
// that was the last to come of those that said that they are ready; the listening socket
// itself goes with them, so that there is no moment in which nobody holds the lock. All
// other successors come again, to the new holder.
//
// It promises:
//   - At no time do two processes hold the lock.
//   - A successor learns of the death of the holder at once: the end of the connection.
//   - A message that came late, because the receiver stood still, brings no voices.
//
// It does not promise that a holder lives: one that is stopped (SIGSTOP) or hangs keeps the
// lock, and its successor waits until it goes on or is killed. The kubelet's liveness probe
// sees to the latter; until then the gate of the one that hangs is shut, and other nodes
// take over.
//
// # Who can do what
//
// Abstract sockets have no owner and no mode: every process in the host's network namespace
// can connect. Holder and successor ask the kernel for the user of the other side
// (SO_PEERCRED) and talk only to their own. What remains:
//   - A process of the same user (65532, which other images use too) in the host's network,
//     or one that may take on that user, can pass for a successor and be given the lock:
//     the node's VIPs then move to other nodes, as after a crash. It gets no address: for
//     that it would need NET_RAW.
//   - A process of any user in the host's network can listen on the name first. The agent
//     then never speaks, and says so (Blocked); other nodes do. It can also connect more
//     often than the holder refuses it, so that a successor finds no place: the upgrade
//     then hands over to other nodes.
//
// What comes from the other side is bounded in size and number and crashes nobody.
package lock
