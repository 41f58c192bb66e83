// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

const (
	// pace is 200 requests a second.
	pace = 5 * time.Millisecond
	// hush is how long a handover may leave questions unanswered.
	hush = 100 * time.Millisecond
	// stall is how long a busy machine may keep an agent waiting. A client that asks in vain
	// asks again after a second.
	stall = 500 * time.Millisecond
	// takeover is the shortest standstill of a node for which others may replace it.
	takeover = 150 * time.Millisecond
)

// sigterm: the speaker's agent is told to end, and loses nothing.
func (w *world) sigterm(t *testing.T) {
	w.serve(t, service("sigterm", dual))
	old := w.spoken(t, "sigterm")
	addrs := addresses(t, old)
	watch := w.look(t, pace, addrs, probe.UDP, probe.HTTP)
	w.kubectl(t, "-n", system, "delete", "pod", w.agent(t, old.Status.Node).Name)
	now := w.spokenBy(t, "sigterm", "another node", other(old.Status.Node))
	w.settle(t)
	seen := watch.end(t)
	w.handed(t, seen, old, now)
	w.unmoved(t, now)
}

// pods are those of Arpeggio's parts: "agent", "manager", or both ("").
func (w *world) pods(t *testing.T, part string) []corev1.Pod {
	t.Helper()
	labels := client.MatchingLabels{"app.kubernetes.io/name": "arpeggio"}
	if part != "" {
		labels["app.kubernetes.io/component"] = part
	}
	var pods corev1.PodList
	if err := w.api.List(t.Context(), &pods, client.InNamespace(system), labels); err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// agent is the agent's pod on a node.
func (w *world) agent(t *testing.T, node string) corev1.Pod {
	t.Helper()
	agents := w.pods(t, "agent")
	n := slices.IndexFunc(agents, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
	if n < 0 {
		t.Fatalf("no agent on %s", node)
	}
	return agents[n]
}

// handed checks a handover from one announcement to the next.
func (w *world) handed(t *testing.T, seen sight, old, now v1alpha1.VIPAnnouncement) {
	t.Helper()
	mac := w.mac(t, now.Status.Node)
	seen.succession(t, addresses(t, old), w.mac(t, old.Status.Node), mac)
	seen.lossless(t, probe.UDP)
	seen.connected(t, mac)
	seen.around(mac).heard(t, hush)
	seen.heard(t, stall)
	w.tells(t, old, now)
}

// rollout: all agents are replaced, node by node. No address changes its speaker, no request
// is lost, and no connection ends that was open all the time.
func (w *world) rollout(t *testing.T) {
	names := []string{"roll-a", "roll-b", "roll-c"}
	before, _ := w.several(t, names...)
	var addrs []netip.Addr
	for _, name := range names {
		addrs = append(addrs, addresses(t, before[name])...)
	}
	agents := w.pods(t, "agent")
	watch := w.look(t, 20*time.Millisecond, addrs, probe.UDP, probe.Stream)
	w.kubectl(t, "-n", system, "rollout", "restart", "daemonset/arpeggio-agent")
	w.kubectl(t, "-n", system, "rollout", "status", "daemonset/arpeggio-agent", "--timeout=90s")
	w.settle(t)
	seen := watch.end(t)
	seen.lossless(t, probe.UDP)
	for _, old := range agents {
		if now := w.agent(t, old.Spec.NodeName); now.UID == old.UID {
			t.Errorf("agent %s was not replaced: this test shows nothing", old.Name)
		}
	}
	for _, addr := range addrs {
		seen.oneVoice(t, addr)
	}
	if seen.noise > takeover {
		t.Logf("the machine stood still for %s: a node that does so is replaced, whatever the reason", seen.noise)
		return
	}
	seen.unbroken(t)
	seen.heard(t, stall)
	for _, name := range names {
		seen.succession(t, addresses(t, before[name]), w.mac(t, before[name].Status.Node))
		w.unmoved(t, before[name])
	}
}

// reused: many Services go at once, and others get their addresses. Nobody speaks any more
// for those that are gone.
func (w *world) reused(t *testing.T) {
	gone := []string{"gone-a", "gone-b", "gone-c", "gone-d", "gone-e", "gone-f"}
	before, _ := w.several(t, gone...)
	speaker := map[netip.Addr]string{}
	var manifests []string
	for _, name := range gone {
		manifests = append(manifests, service(name, dual))
		for _, addr := range addresses(t, before[name]) {
			speaker[addr] = before[name].Status.Node
		}
	}
	w.remove(t, manifests...)
	names := []string{"new-a", "new-b", "new-c", "new-d", "new-e", "new-f"}
	now, addrs := w.several(t, names...)
	moved := 0
	watch := w.look(t, 0, addrs)
	time.Sleep(2 * time.Second)
	seen := watch.end(t)
	for i, name := range names {
		seen.succession(t, addrs[i:i+1], w.mac(t, now[name].Status.Node))
		if old := speaker[addrs[i]]; old != "" && old != now[name].Status.Node {
			moved++
		}
	}
	if moved == 0 {
		t.Error("no address is spoken for by another node than before: this test shows nothing")
	}
}

// several makes some Services at once, and gives their announcements and one address of
// each, of one family and the other in turn.
func (w *world) several(t *testing.T, names ...string) (map[string]v1alpha1.VIPAnnouncement, []netip.Addr) {
	t.Helper()
	var manifests []string
	for _, name := range names {
		manifests = append(manifests, service(name, dual))
	}
	w.serve(t, manifests...)
	all := map[string]v1alpha1.VIPAnnouncement{}
	var addrs []netip.Addr
	for i, name := range names {
		all[name] = w.spoken(t, name)
		addrs = append(addrs, addresses(t, all[name])[i%2])
	}
	return all, addrs
}

// manager: both managers are deleted; nobody's address or speaker changes, and the new ones
// work.
func (w *world) manager(t *testing.T) {
	w.serve(t, service("managed", dual), service("later", dual))
	before := w.spoken(t, "managed")
	w.spoken(t, "later")
	watch := w.look(t, 20*time.Millisecond, addresses(t, before), probe.UDP)
	w.remove(t, service("later", dual))
	w.watched(t, "managed", metav1.ConditionTrue, v1alpha1.ReasonHeard) // the last that is written of a Service
	versions := w.versions(t, "managed")
	holder := w.leader(t)
	w.kubectl(t, "-n", system, "delete", "pods", "-l", "app.kubernetes.io/component=manager")
	w.apply(t, service("later", dual))
	until(t, 60*time.Second, func() error {
		if now := w.leader(t); now == "" || now == holder {
			return fmt.Errorf("%q leads", now)
		}
		return nil
	})
	w.settle(t)
	w.spoken(t, "later")
	if after := w.versions(t, "managed"); after != versions {
		t.Errorf("resource versions with the old managers: %s; with the new ones: %s", versions, after)
	}
	seen := watch.end(t)
	seen.lossless(t, probe.UDP)
	seen.succession(t, addresses(t, before), w.mac(t, before.Status.Node))
	w.unmoved(t, before)
}

// leader is the manager that works.
func (w *world) leader(t *testing.T) string {
	t.Helper()
	var l coordinationv1.Lease
	if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "manager"}, &l); err != nil {
		t.Fatal(err)
	}
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}
