// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
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
	// exclude takes a node out of load balancing.
	exclude = corev1.LabelNodeExcludeBalancers
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

// agent is the agent's pod on a node.
func (w *world) agent(t *testing.T, node string) corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := w.api.List(t.Context(), &pods, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/component": "agent"}); err != nil {
		t.Fatal(err)
	}
	n := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
	if n < 0 {
		t.Fatalf("no agent on %s", node)
	}
	return pods.Items[n]
}

// exclude: a node is taken out by its label, and back in.
func (w *world) exclude(t *testing.T) {
	w.serve(t, service("exclude", dual))
	old := w.spoken(t, "exclude")
	node := "node/" + old.Status.Node
	t.Cleanup(func() {
		var n corev1.Node
		n.Name = old.Status.Node
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+exclude+`":null}}}`))
		if err := w.api.Patch(context.WithoutCancel(t.Context()), &n, patch); err != nil {
			t.Error(err)
		}
	})
	watch := w.look(t, pace, addresses(t, old), probe.UDP, probe.HTTP)
	w.kubectl(t, "label", node, exclude+"=")
	now := w.spokenBy(t, "exclude", "another node", other(old.Status.Node))
	if why := now.Spec.Excluded[old.Status.Node]; !holds(why, exclude) {
		t.Errorf("the announcement excludes %v, want %s by the label", now.Spec.Excluded, old.Status.Node)
	}
	w.eventually(t, "exclude", v1alpha1.EventVIPHandedOver, old.Status.Node, now.Status.Node,
		"node.kubernetes.io/exclude-from-external-load-balancers")
	w.kubectl(t, "label", node, exclude+"-")
	until(t, 10*time.Second, func() error {
		if a := w.spoken(t, "exclude"); len(a.Spec.Excluded) > 0 || !slices.Contains(a.Spec.Candidates, old.Status.Node) {
			return fmt.Errorf("candidates %v, excluded %v", a.Spec.Candidates, a.Spec.Excluded)
		}
		return nil
	})
	w.stable(t, "exclude")
	seen := watch.end(t)
	w.handed(t, seen, old, now)
	w.unmoved(t, now)
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

// rollout: all agents are replaced, node by node; every address stays reachable.
func (w *world) rollout(t *testing.T) {
	names := []string{"roll-a", "roll-b", "roll-c", "roll-d", "roll-e", "roll-f"}
	var manifests []string
	for _, name := range names {
		manifests = append(manifests, service(name, dual))
	}
	w.serve(t, manifests...)
	before := map[string]v1alpha1.VIPAnnouncement{}
	var addrs []netip.Addr
	for i, name := range names {
		before[name] = w.spoken(t, name)
		addrs = append(addrs, addresses(t, before[name])[i%2])
	}
	watch := w.look(t, 20*time.Millisecond, addrs, probe.UDP)
	w.kubectl(t, "-n", system, "rollout", "restart", "daemonset/arpeggio-agent")
	w.kubectl(t, "-n", system, "rollout", "status", "daemonset/arpeggio-agent", "--timeout=90s")
	w.settle(t)
	seen := watch.end(t)
	moves := map[string]int32{}
	for _, name := range names {
		if n := w.spoken(t, name).Status.Transitions - before[name].Status.Transitions; n > 0 {
			moves[before[name].Status.Node+" "+name] = n
		}
	}
	t.Logf("%d of %d Services moved: %v", len(moves), len(names), moves)
	for _, who := range slices.Sorted(maps.Keys(moves)) {
		if moves[who] > 3 {
			t.Errorf("%s moved %d times in one restart of three agents", who, moves[who])
		}
	}
	seen.lossless(t, probe.UDP)
	seen.heard(t, stall)
	for _, addr := range addrs {
		seen.oneVoice(t, addr)
	}
}

// manager: both managers are deleted; nobody's address or speaker changes, and the new ones
// work.
func (w *world) manager(t *testing.T) {
	w.serve(t, service("managed", dual), service("later", dual))
	before := w.spoken(t, "managed")
	w.spoken(t, "later")
	watch := w.look(t, 20*time.Millisecond, addresses(t, before), probe.UDP)
	w.remove(t, service("later", dual))
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
