// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// flap: the cable of the speaker's node goes out and in, five times. The VIP goes elsewhere,
// and stays there.
func (w *world) flap(t *testing.T) {
	w.flaps(t, "flap", cluster.LinkDown, cluster.LinkUp, 1, func(first, _ string) string { return first })
}

// blink: five times, the switch's port of the node that speaks then is blocked for a moment,
// long enough to be found dead. A VIP moves three times at most in such a time; then it stays
// where it is, and is answered again when the port is open.
func (w *world) blink(t *testing.T) {
	w.flaps(t, "blink", cluster.CutLAN, cluster.HealLAN, 3, func(_, speaks string) string { return speaks })
}

// flaps does something five times within 20 s to a node, of which it knows who spoke at first
// and who speaks now. The VIP may move so many times at most.
func (w *world) flaps(t *testing.T, name string, f, undo cluster.Fault, most int32, whom func(first, speaks string) string) {
	t.Helper()
	w.serve(t, service(name, dual))
	old := w.spoken(t, name)
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs)
	for range 5 {
		h, ok := w.lab.HostByMAC(watch.speaker(addrs[0]))
		if !ok {
			t.Fatalf("%s is spoken for by %s", addrs[0], watch.speaker(addrs[0]))
		}
		node := whom(old.Status.Node, h.Name)
		t.Cleanup(func() { w.heal(t, node, undo) })
		w.fault(t, node, f)
		time.Sleep(800 * time.Millisecond)
		w.fault(t, node, undo)
		time.Sleep(3200 * time.Millisecond)
	}
	now := w.agreed(t, name, addrs)
	seen := watch.end(t)
	seen.silent(t, outage)
	n := now.Status.Transitions - old.Status.Transitions
	t.Logf("%d transitions: %+v", n, now.Status.History)
	if n < 1 || n > most {
		t.Errorf("%d transitions in five flaps, want one to %d", n, most)
	}
	for _, addr := range addrs {
		seen.oneVoice(t, addr)
	}
}

// pair: the speaker and its first standby do not hear each other; the third node hears both,
// and vouches for the speaker. Nothing moves.
func (w *world) pair(t *testing.T) {
	w.serve(t, service("pair", dual))
	old := w.spoken(t, "pair")
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.separate(t, old.Status.Node, standbys(old)[0])
	time.Sleep(10 * time.Second)
	w.rejoin(t, old.Status.Node, standbys(old)[0])
	time.Sleep(time.Second)
	seen := watch.end(t)
	seen.lossless(t, probe.UDP)
	seen.heard(t, stall)
	seen.succession(t, addrs, w.mac(t, old.Status.Node))
	w.unmoved(t, old)
}

// unheard: what is sent to all does not reach the speaker any more, nor what it sends to all; what goes
// to one card does. Its standbys hear it, new clients would find nobody. It is told of, and
// hands over; who knows the way already loses nothing.
func (w *world) unheard(t *testing.T) {
	const name = "unheard"
	w.serve(t, service(name, dual))
	old := w.spoken(t, name)
	w.watched(t, name, metav1.ConditionTrue, v1alpha1.ReasonHeard)
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.HealLAN) })
	w.fault(t, old.Status.Node, cluster.NoBroadcast)
	began := time.Now()
	var now v1alpha1.VIPAnnouncement
	until(t, 75*time.Second, func() error {
		if now = w.spoken(t, name); now.Status.Node == old.Status.Node {
			return fmt.Errorf("%s still speaks", now.Status.Node)
		}
		return nil
	})
	t.Logf("%s speaks %s after broadcasts were lost", now.Status.Node, time.Since(began))
	for _, addr := range addrs {
		if got := w.ask(t, client1, addr); !slices.Equal(got, []string{w.mac(t, now.Status.Node)}) {
			t.Errorf("%s: a new client hears %v, want %s", addr, got, now.Status.Node)
		}
	}
	w.eventually(t, name, v1alpha1.EventVIPHandedOver, old.Status.Node)
	w.heal(t, old.Status.Node, cluster.HealLAN)
	seen := watch.end(t)
	seen.lossless(t, probe.UDP)
	w.tells(t, old, now)
	w.unmoved(t, now)
}

// split: the LAN falls into two parts. In one are the speaker, which is cut off from the API
// too, and the client, in the other everybody else: each part has a voice, as neither knows of
// the other. Whole again, the LAN has one within a second, the later one.
func (w *world) split(t *testing.T) {
	w.serve(t, service("split", dual))
	old := w.spoken(t, "split")
	addrs := addresses(t, old)
	here, there := []string{old.Status.Node, client1}, append(standbys(old), cluster.Gateway)
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.HealAPI) })
	watch := w.look(t, 10*time.Millisecond, addrs)
	w.fault(t, old.Status.Node, cluster.CutAPI)
	for _, one := range here {
		for _, other := range there {
			w.separate(t, one, other)
		}
	}
	now := w.spokenBy(t, "split", "a node of the other part", other(old.Status.Node))
	for _, addr := range addrs {
		if got := w.ask(t, client1, addr); !slices.Equal(got, []string{w.mac(t, old.Status.Node)}) {
			t.Errorf("%s: the client hears %v, want the speaker of its own part, %s", addr, got, old.Status.Node)
		}
	}
	for _, one := range here {
		for _, other := range there {
			w.rejoin(t, one, other)
		}
	}
	healed := time.Now()
	time.Sleep(3 * time.Second)
	w.fault(t, old.Status.Node, cluster.HealAPI)
	time.Sleep(2 * time.Second) // in which it reads what went on
	seen := watch.end(t)
	seen.silent(t, outage)
	for _, addr := range addrs {
		t.Logf("%s: %s still spoke %s after the LAN was whole again", addr, old.Status.Node, last(seen.voices[addr], w.mac(t, old.Status.Node)).Sub(healed))
	}
	seen.since(healed.Add(time.Second)).succession(t, addrs, w.mac(t, now.Status.Node))
	w.tells(t, old, now)
	w.unmoved(t, now)
}

// separate keeps two hosts of the LAN from hearing each other, to the test's end at most.
func (w *world) separate(t *testing.T, one, other string) {
	t.Helper()
	t.Cleanup(func() {
		if err := w.lab.Rejoin(context.WithoutCancel(t.Context()), one, other); err != nil {
			t.Error(err)
		}
	})
	if err := w.lab.Separate(t.Context(), one, other); err != nil {
		t.Fatal(err)
	}
}

func (w *world) rejoin(t *testing.T, one, other string) {
	t.Helper()
	if err := w.lab.Rejoin(t.Context(), one, other); err != nil {
		t.Fatal(err)
	}
}
