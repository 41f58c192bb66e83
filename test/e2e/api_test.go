// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// away is how long the API server is away: three times as long as a heartbeat lasts.
const away = 20 * time.Second

// stopped: the API server refuses connections for a while. No VIP goes dark, and nothing
// moves, then or when it is back. New Services are seen again.
func (w *world) stopped(t *testing.T) {
	w.serve(t, service("stopped", dual))
	old := w.spoken(t, "stopped")
	t.Cleanup(func() { w.heal(t, cluster.ControlPlane, cluster.Start) })
	addrs := addresses(t, old)
	watch := w.look(t, 20*time.Millisecond, addrs, probe.UDP)
	w.fault(t, cluster.ControlPlane, cluster.Stop)
	time.Sleep(away)
	w.started = time.Now()
	w.fault(t, cluster.ControlPlane, cluster.Start)
	w.settle(t)
	seen := watch.end(t)
	seen.lossless(t, probe.UDP)
	seen.heard(t, stall)
	seen.succession(t, addrs, w.mac(t, old.Status.Node))
	w.unmoved(t, old)

	// The manager works as before, and soon.
	from := time.Now()
	w.serve(t, service("later", dual))
	until(t, 90*time.Second, func() error {
		return w.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "later"}, &v1alpha1.VIPAnnouncement{})
	})
	took := time.Since(from)
	t.Logf("the manager saw a new Service after %s", took)
	// The managers' own Lease lasts 15 s: until then none of them leads.
	if took > 20*time.Second {
		t.Errorf("the manager saw a new Service after %s, want at most 20 s", took)
	}
	w.spoken(t, "later")
}

// blackhole: the API server does not answer for a while: no VIP goes dark. Then a speaker's
// node loses power: another speaks at once, on the wire alone. When the API server is back, it
// is told what the wire did, and nothing else moves.
func (w *world) blackhole(t *testing.T) {
	names := []string{"hole-a", "hole-b", "hole-c"}
	before, _ := w.several(t, names...)
	old := before["hole-a"]
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.Restore) })
	t.Cleanup(func() { w.heal(t, cluster.ControlPlane, cluster.Heal) })
	addrs := addresses(t, old)
	watch := w.look(t, 20*time.Millisecond, addrs, probe.UDP)
	w.fault(t, cluster.ControlPlane, cluster.Blackhole)
	time.Sleep(away)
	seen := watch.end(t)
	seen.lossless(t, probe.UDP)
	seen.heard(t, stall)
	seen.succession(t, addrs, w.mac(t, old.Status.Node))

	watch = w.look(t, 10*time.Millisecond, addrs) // no requests: kube-proxies that are cut off are another matter
	w.fault(t, old.Status.Node, cluster.Crash)
	var taker cluster.Host
	until(t, outage, func() error {
		for i, addr := range addrs {
			h, ok := w.lab.HostByMAC(watch.speaker(addr))
			if !ok || h.Name == old.Status.Node || i > 0 && h.Name != taker.Name {
				return fmt.Errorf("%s is spoken for by %q, want another than %s", addr, h.Name, old.Status.Node)
			}
			taker = h
		}
		return nil
	})
	w.fault(t, cluster.ControlPlane, cluster.Heal)
	back := time.Now()
	until(t, 10*time.Second, func() error { return w.told(t, old, taker.Name) })
	t.Logf("told %s after the API server was back", time.Since(back))
	time.Sleep(3 * time.Second) // in which more would move
	seen = watch.end(t)
	seen.silent(t, outage)
	seen.succession(t, addrs, w.mac(t, old.Status.Node), taker.MAC)
	now := w.spoken(t, "hole-a")
	w.tells(t, old, now)
	for _, name := range names[1:] {
		was, is := before[name], w.spoken(t, name)
		want := int32(0)
		if was.Status.Node == old.Status.Node {
			want = 1
		}
		if n := is.Status.Transitions - was.Status.Transitions; n != want {
			t.Errorf("%s: %d transitions, want %d: %+v", name, n, want, is.Status.History)
		}
	}
	w.restored(t, old.Status.Node)
	w.unmoved(t, now)
}

// told says whether a status names a node, and one transition.
func (w *world) told(t *testing.T, old v1alpha1.VIPAnnouncement, node string) error {
	t.Helper()
	var now v1alpha1.VIPAnnouncement
	if err := w.api.Get(t.Context(), client.ObjectKeyFromObject(&old), &now); err != nil {
		return err
	}
	if now.Status.Node != node || now.Status.Transitions != old.Status.Transitions+1 {
		return fmt.Errorf("the status names %s after %d transitions, want %s after one", now.Status.Node, now.Status.Transitions-old.Status.Transitions, node)
	}
	return nil
}

// cut: one node alone is cut off from the API. What it speaks for it goes on to speak for,
// and for the rest it is a standby, which takes nothing.
func (w *world) cut(t *testing.T) {
	names := []string{"cut-a", "cut-b", "cut-c"}
	before, addrs := w.several(t, names...)
	node := before["cut-a"].Status.Node
	if !slices.ContainsFunc(names, func(name string) bool { return before[name].Status.Node != node }) {
		t.Fatalf("%s speaks for all of %v: it is nobody's standby", node, names)
	}
	t.Cleanup(func() { w.heal(t, node, cluster.HealAPI) })
	watch := w.look(t, 0, addrs)
	w.fault(t, node, cluster.CutAPI)
	time.Sleep(away)
	w.fault(t, node, cluster.HealAPI)
	w.settle(t)
	time.Sleep(2 * time.Second) // of two heartbeats
	seen := watch.end(t)
	seen.heard(t, stall)
	for i, name := range names {
		seen.succession(t, addrs[i:i+1], w.mac(t, before[name].Status.Node))
		w.unmoved(t, before[name])
	}
}
