// SPDX-License-Identifier: Apache-2.0

// Package agents installs the agents: the DaemonSet arpeggio-agent in the namespace of the
// installation. The manager does it at run time because an OLM bundle may not hold a
// DaemonSet, and every way of installing takes the same path.
//
// It promises that the DaemonSet is written only when what it should be has changed, and
// that one which Arpeggio did not make is never touched. The DaemonSet is owned by the
// agents' ServiceAccount, not by the manager: a manager that is created anew takes no
// address down, and an uninstall leaves nothing behind.
package agents
