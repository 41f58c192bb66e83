// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/controllers/journal"
)

// installed says that the agents were installed or changed.
func installed(ds *appsv1.DaemonSet, verb string) journal.Entry {
	return journal.Entry{Regarding: ds, Type: corev1.EventTypeNormal, Reason: "AgentsInstalled", Action: "InstallAgents",
		Note: fmt.Sprintf("the manager %s the agents, image %s", verb, ds.Spec.Template.Spec.Containers[0].Image)}
}

// notOurs says that a DaemonSet stands in the way.
func notOurs(ds *appsv1.DaemonSet) journal.Entry {
	return journal.Entry{Regarding: ds, Type: corev1.EventTypeWarning, Reason: "NotManaged", Action: "InstallAgents",
		Note: fmt.Sprintf("DaemonSet %s was not made by Arpeggio and is left alone, so no agents are installed: delete or rename it", ds.Name)}
}

// restartAgents is how all agents get a new key at once.
func restartAgents(namespace string) string {
	return fmt.Sprintf("kubectl -n %s delete pods -l app.kubernetes.io/name=arpeggio,app.kubernetes.io/component=agent", namespace)
}

// keyMade says that there is a new key, and how agents that run with an older one get it.
func keyMade(ds *appsv1.DaemonSet) journal.Entry {
	return journal.Entry{Regarding: ds, Type: corev1.EventTypeNormal, Reason: "MarkKeyMade", Action: "InstallAgents",
		Note: fmt.Sprintf("there was no Secret %s, and the manager made one. Agents that run with an older key do not know those with this one: restart all of them at once: %s", KeySecret, restartAgents(ds.Namespace))}
}

// keyUnusable says that the Secret with the key is of no use.
func keyUnusable(ds *appsv1.DaemonSet, why string) journal.Entry {
	return journal.Entry{Regarding: ds, Type: corev1.EventTypeWarning, Reason: "MarkKeyInvalid", Action: "InstallAgents",
		Note: fmt.Sprintf("the Secret %s is of no use (%s): agents that start with it do not run, or run without a key. Delete it, the manager makes another: kubectl -n %s delete secret %s; then restart all agents at once: %s",
			KeySecret, why, ds.Namespace, KeySecret, restartAgents(ds.Namespace))}
}

// podsRefused says that the namespace does not let the agents run.
func podsRefused(ds *appsv1.DaemonSet) journal.Entry {
	return journal.Entry{Regarding: ds, Type: corev1.EventTypeWarning, Reason: "PodsRefused", Action: "InstallAgents",
		Note: fmt.Sprintf("no pods of the agents appear: they use the host's network, which Pod Security refuses unless the namespace says %s=privileged: kubectl label namespace %s %s=privileged",
			podSecurity, ds.Namespace, podSecurity)}
}
