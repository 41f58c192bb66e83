// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// outage is how long nobody may answer when the speaker is gone without a word.
const outage = 10 * time.Second

// crash: the speaker's node loses power.
func (w *world) crash(t *testing.T) {
	w.serve(t, service("crash", dual))
	old := w.spoken(t, "crash")
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.Restore) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, cluster.Crash)
	now := w.spokenBy(t, "crash", "another node", other(old.Status.Node))
	seen := watch.end(t)
	seen.silent(t, outage)
	macs := []string{w.mac(t, old.Status.Node), w.mac(t, now.Status.Node)}
	seen.succession(t, addrs, macs...)
	w.tells(t, old, now)

	// The node comes back: nothing moves back to it.
	watch = w.look(t, 10*time.Millisecond, addrs)
	restarts := w.restarts(t, old.Status.Node)
	w.fault(t, old.Status.Node, cluster.Restore)
	until(t, 60*time.Second, func() error {
		if w.restarts(t, old.Status.Node) == restarts {
			return fmt.Errorf("the agent on %s is not back", old.Status.Node)
		}
		return nil
	})
	w.settle(t)
	seen = watch.end(t)
	seen.succession(t, addrs, macs[1])
	seen.heard(t, stall)
	w.unmoved(t, now)
}

// pause: the speaker's agent hangs for half a minute, and goes on. It must not speak again
// before it has seen that another does.
func (w *world) pause(t *testing.T) {
	w.serve(t, service("pause", dual))
	old := w.spoken(t, "pause")
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.ResumeAgent) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, cluster.PauseAgent)
	paused := time.Now()
	now := w.spokenBy(t, "pause", "another node", other(old.Status.Node))
	time.Sleep(time.Until(paused.Add(30 * time.Second)))
	w.fault(t, old.Status.Node, cluster.ResumeAgent)
	time.Sleep(2 * time.Second) // in which it would speak
	seen := watch.end(t)
	seen.silent(t, outage)
	seen.succession(t, addrs, w.mac(t, old.Status.Node), w.mac(t, now.Status.Node))
	w.tells(t, old, now)
	w.unmoved(t, now)
}

// kill: the speaker's agent is killed, and started again by the kubelet. It goes on, or
// another has taken over.
func (w *world) kill(t *testing.T) {
	w.serve(t, service("kill", dual))
	old := w.spoken(t, "kill")
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, cluster.KillAgent)
	until(t, outage, func() error { // the agent's own answer to its death comes first
		if n := len(programs(t, "agent")); n != 3 {
			return fmt.Errorf("%d agents run", n)
		}
		return nil
	})
	var now v1alpha1.VIPAnnouncement
	until(t, outage, func() error {
		now = w.spoken(t, "kill")
		for _, addr := range addrs {
			if got := w.ask(t, client1, addr); !slices.Equal(got, []string{w.mac(t, now.Status.Node)}) {
				return fmt.Errorf("%s is answered by %v, the announcement names %s", addr, got, now.Status.Node)
			}
		}
		return nil
	})
	w.settle(t)
	seen := watch.end(t)
	seen.silent(t, outage)
	macs := slices.Compact([]string{w.mac(t, old.Status.Node), w.mac(t, now.Status.Node)})
	seen.succession(t, addrs, macs...)
	t.Logf("%s, then %s", old.Status.Node, now.Status.Node)
	if old.Status.Node != now.Status.Node {
		w.tells(t, old, now)
	}
	w.unmoved(t, now)
}

// restarts counts how often the agent on a node was started again.
func (w *world) restarts(t *testing.T, node string) int32 {
	t.Helper()
	p := w.agent(t, node)
	if len(p.Status.ContainerStatuses) == 0 {
		return 0
	}
	return p.Status.ContainerStatuses[0].RestartCount
}

func (w *world) fault(t *testing.T, host string, f cluster.Fault) {
	t.Helper()
	if err := w.lab.Fault(t.Context(), host, f); err != nil {
		t.Fatal(err)
	}
}

// heal undoes a fault at the end of a test that may have failed half way.
func (w *world) heal(t *testing.T, host string, f cluster.Fault) {
	t.Helper()
	if err := w.lab.Fault(t.Context(), host, f); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

// tells checks that announcement and Event name the new speaker, the old one, and the way
// from one to the other.
func (w *world) tells(t *testing.T, old, now v1alpha1.VIPAnnouncement) {
	t.Helper()
	if got := now.Status.Transitions - old.Status.Transitions; got != 1 {
		t.Errorf("%d transitions, want 1", got)
	}
	if h := now.Status.History; len(h) == 0 || h[0].From != old.Status.Node || h[0].To != now.Status.Node {
		t.Errorf("history %+v does not begin with the change from %s to %s", h, old.Status.Node, now.Status.Node)
	} else {
		t.Logf("%s to %s: %s, %d ms", h[0].From, h[0].To, h[0].Why, h[0].TookMillis)
	}
	for _, x := range now.Status.Addresses {
		if x.MAC != w.mac(t, now.Status.Node) {
			t.Errorf("status names the MAC %s, want that of %s", x.MAC, now.Status.Node)
		}
	}
	w.eventually(t, now.Name, v1alpha1.EventVIPAnnounced, "node "+now.Status.Node+" now speaks", old.Status.Node)
}

// unmoved checks that the same node speaks, in the same reign.
func (w *world) unmoved(t *testing.T, before v1alpha1.VIPAnnouncement) {
	t.Helper()
	now := w.spoken(t, before.Name)
	if now.Status.Node != before.Status.Node || now.Status.Epoch != before.Status.Epoch {
		t.Errorf("%s: %s speaks in %s, before it was %s in %s", before.Name, now.Status.Node, now.Status.Epoch, before.Status.Node, before.Status.Epoch)
	}
}
