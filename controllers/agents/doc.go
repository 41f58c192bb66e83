// SPDX-License-Identifier: Apache-2.0

// Package agents installs the agents: the DaemonSet arpeggio-agent in the namespace of the
// installation. The manager does it at run time because an OLM bundle may not hold a
// DaemonSet, and every way of installing takes the same path.
//
// It promises that the DaemonSet is written only when what it should be has changed, and
// that one which Arpeggio did not make is never touched. The DaemonSet is owned by the
// agents' ServiceAccount, not by the manager: a manager that is created anew takes no
// address down, and an uninstall leaves nothing behind.
//
// Before it, the manager makes the Secret arpeggio-mark-key, owned likewise: 128 random bits
// by which the agents sign what they say of themselves in their frames, so that no other host
// on the network can speak in an agent's name. The kubelet puts it into the agents' pods; the
// agents have no right to read Secrets. One that is there is never changed, also when it is
// of no use: an Event on the DaemonSet says what to do.
//
// The pods declare no port, not even that of the metrics: each would be one of the host, for
// which the two agents of an upgrade have no room beside each other.
//
// Agents with different keys take each other for strangers: their standbys do not hear the
// speaker, and take over by its heartbeat alone. So the key is changed for all at once, and
// the addresses are silent for the seconds in which the new agents start:
//
//	kubectl -n arpeggio-system delete secret arpeggio-mark-key
//	kubectl -n arpeggio-system delete pods -l app.kubernetes.io/name=arpeggio,app.kubernetes.io/component=agent
package agents
