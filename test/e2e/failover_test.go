// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

const (
	// outage is how long nobody may answer when the speaker is gone without a word and the
	// others find that out on the wire. It takes them a quarter of a second; the rest is for
	// a busy machine, and less than any heartbeat needs to be missed.
	outage = 3 * time.Second
	// missed is the same where they find it out by the heartbeat.
	missed = 12 * time.Second
)

// crash: the speaker's node loses power, and comes back.
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
	onTheWire(t, now)

	// The node comes back: nothing moves back to it.
	watch = w.look(t, 10*time.Millisecond, addrs)
	w.restored(t, old.Status.Node)
	seen = watch.end(t)
	seen.succession(t, addrs, macs[1])
	seen.heard(t, stall)
	w.unmoved(t, now)
}

// restored starts crashed nodes again and waits until all is well.
func (w *world) restored(t *testing.T, nodes ...string) {
	t.Helper()
	restarts := map[string]int32{}
	for _, node := range nodes {
		restarts[node] = w.restarts(t, node)
		w.fault(t, node, cluster.Restore)
	}
	for _, node := range nodes {
		until(t, 60*time.Second, func() error {
			if w.restarts(t, node) == restarts[node] {
				return fmt.Errorf("the agent on %s is not back", node)
			}
			return nil
		})
	}
	w.settle(t)
}

// gone does something to a Service's speaker that silences it, and undoes it after some time.
// Another node speaks at once, and goes on when the first is back, which must not speak again
// before it has seen that another does.
func (w *world) gone(t *testing.T, name string, f, undo cluster.Fault, lasts time.Duration) (now v1alpha1.VIPAnnouncement) {
	t.Helper()
	w.serve(t, service(name, dual))
	old := w.spoken(t, name)
	t.Cleanup(func() { w.heal(t, old.Status.Node, undo) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, f)
	begun := time.Now()
	now = w.spokenBy(t, name, "another node", other(old.Status.Node))
	time.Sleep(time.Until(begun.Add(lasts)))
	w.fault(t, old.Status.Node, undo)
	time.Sleep(2 * time.Second) // in which it would speak
	seen := watch.end(t)
	seen.silent(t, outage)
	seen.succession(t, addrs, w.mac(t, old.Status.Node), w.mac(t, now.Status.Node))
	w.tells(t, old, now)
	w.unmoved(t, now)
	return now
}

// pause: the speaker's agent hangs for longer than a heartbeat may be missing, and goes on.
func (w *world) pause(t *testing.T) {
	onTheWire(t, w.gone(t, "pause", cluster.PauseAgent, cluster.ResumeAgent, missed))
}

// cable: the speaker's cable is pulled. It may hand over, or be found dead.
func (w *world) cable(t *testing.T) {
	w.gone(t, "cable", cluster.LinkDown, cluster.LinkUp, 3*time.Second)
}

// blocked: the switch lets nothing through the speaker's port, which keeps its carrier: the
// speaker cannot know, and its heartbeats go on.
func (w *world) blocked(t *testing.T) {
	onTheWire(t, w.gone(t, "blocked", cluster.CutLAN, cluster.HealLAN, 3*time.Second))
}

// hang: the speaker's agent hangs for a second. By then another speaks, or none did: there
// are never two.
func (w *world) hang(t *testing.T) {
	w.serve(t, service("hang", dual))
	old := w.spoken(t, "hang")
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.ResumeAgent) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, cluster.PauseAgent)
	time.Sleep(time.Second)
	w.fault(t, old.Status.Node, cluster.ResumeAgent)
	now := w.agreed(t, "hang", addrs)
	time.Sleep(2 * time.Second) // in which it would move again
	seen := watch.end(t)
	seen.silent(t, outage)
	seen.succession(t, addrs, slices.Compact([]string{w.mac(t, old.Status.Node), w.mac(t, now.Status.Node)})...)
	if old.Status.Node == now.Status.Node {
		t.Logf("nothing moved: the others were not sure in time")
	} else {
		w.tells(t, old, now)
		onTheWire(t, now)
	}
	w.unmoved(t, now)
}

// agreed waits until the node that the announcement names answers for all addresses, and
// nobody else does.
func (w *world) agreed(t *testing.T, name string, addrs []netip.Addr) (now v1alpha1.VIPAnnouncement) {
	t.Helper()
	until(t, outage, func() error {
		now = w.spoken(t, name)
		for _, addr := range addrs {
			if got := w.ask(t, client1, addr); !slices.Equal(got, []string{w.mac(t, now.Status.Node)}) {
				return fmt.Errorf("%s is answered by %v, the announcement names %s", addr, got, now.Status.Node)
			}
		}
		return nil
	})
	return now
}

// kill: the speaker's agent is killed, and started again by the kubelet. Another has taken
// over by then, or it goes on; or it finds that another speaks, and gives it the Lease.
func (w *world) kill(t *testing.T) {
	w.serve(t, service("kill", dual))
	old := w.spoken(t, "kill")
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, cluster.KillAgent)
	time.Sleep(outage)
	now := w.agreed(t, "kill", addrs)
	w.allRun(t)
	w.settle(t)
	seen := watch.end(t)
	seen.silent(t, outage)
	seen.succession(t, addrs, slices.Compact([]string{w.mac(t, old.Status.Node), w.mac(t, now.Status.Node)})...)
	t.Logf("%s, then %s", old.Status.Node, now.Status.Node)
	if old.Status.Node != now.Status.Node {
		w.tells(t, old, now)
	}
	w.unmoved(t, now)
}

// killAll: all agents are killed at once, and started again by the kubelets. Each address
// has one voice again, and never two.
func (w *world) killAll(t *testing.T) {
	names := []string{"all-a", "all-b", "all-c"}
	before, addrs := w.several(t, names...)
	watch := w.look(t, 10*time.Millisecond, addrs)
	for _, p := range programs(t, "agent") {
		w.fault(t, p.host, cluster.KillAgent)
	}
	w.allRun(t)
	w.settle(t)
	for i, name := range names {
		w.agreed(t, name, addrs[i:i+1])
	}
	seen := watch.end(t)
	seen.silent(t, 10*time.Second)
	for i, name := range names {
		seen.oneVoice(t, addrs[i])
		if n := w.spoken(t, name).Status.Transitions - before[name].Status.Transitions; n > 1 {
			t.Errorf("%s: %d transitions, want at most 1", name, n)
		}
	}
}

// allRun waits until an agent runs on every node.
func (w *world) allRun(t *testing.T) {
	t.Helper()
	until(t, 30*time.Second, func() error {
		if n := len(programs(t, "agent")); n != 3 {
			return fmt.Errorf("%d agents run", n)
		}
		return nil
	})
}

// both: the speaker's node and that of its first standby lose power at once. The third
// speaks.
func (w *world) both(t *testing.T) {
	w.serve(t, service("both", dual))
	old := w.spoken(t, "both")
	standby := standbys(old)[0]
	for _, node := range []string{old.Status.Node, standby} {
		t.Cleanup(func() { w.heal(t, node, cluster.Restore) })
	}
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.fault(t, old.Status.Node, cluster.Crash)
	w.fault(t, standby, cluster.Crash)
	now := w.spokenBy(t, "both", "the third node", func(node string) bool { return node != old.Status.Node && node != standby })
	seen := watch.end(t)
	seen.silent(t, missed)
	for _, addr := range addrs {
		seen.oneVoice(t, addr)
	}
	if n := now.Status.Transitions - old.Status.Transitions; n > 2 { // the standby may have been the first to take over
		t.Errorf("%d transitions, want at most 2", n)
	}
	w.restored(t, old.Status.Node, standby)
	w.unmoved(t, now)
}

// standbys are the candidates that do not speak, the first to take over first.
func standbys(a v1alpha1.VIPAnnouncement) []string {
	return slices.DeleteFunc(slices.Clone(a.Spec.Candidates), is(a.Status.Node))
}

// onTheWire checks that what decided was the wire, and not the heartbeat.
func onTheWire(t *testing.T, a v1alpha1.VIPAnnouncement) {
	t.Helper()
	if h := a.Status.History; len(h) == 0 || !holds(h[0].Why, "on the wire") {
		t.Errorf("history %+v: want the newest change to be because of what was heard on the wire", h)
	}
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
	if err := w.lab.Fault(context.WithoutCancel(t.Context()), host, f); err != nil {
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
		if x.MAC != w.card(t, now.Status.Node, x.Interface) {
			t.Errorf("status names the MAC %s on %s, want that of %s", x.MAC, x.Interface, now.Status.Node)
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
