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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// TestNetworks does the same on networks of other kinds: two LANs, and one on which nodes do
// not hear each other, or others in their place.
func TestNetworks(t *testing.T) {
	w := begin(t, cluster.Options{LANs: 2})
	w.apply(t, second, wide, far)
	w.runs(t, []step{
		{"second-lan", w.secondLAN},
		{"two-lans", w.twoLANs},
		{"isolated", w.isolated},
		{"suppressing", w.suppressing},
		{"proxy-arp", w.proxyARP},
	})
}

// Pools that Services ask for by name: of the second LAN, whose interface is found by the
// subnet; of the first LAN, spoken for on both; and one that node2 is to speak for.
var (
	second = vipPool("second", `192.168.78.200-192.168.78.219, "fd00:79::200/122"`)
	wide   = vipPool("wide", "192.168.77.240", "announcements: [{interfaces: [eth0, eth1]}]")
	far    = vipPool("far", "192.168.77.241",
		"announcements: [{preferredNodes: [{weight: 10, nodeSelector: {matchLabels: {kubernetes.io/hostname: node2}}}]}]")
)

// v4 is the specification of an IPv4 Service.
const v4 = "ipFamilyPolicy: SingleStack, ipFamilies: [IPv4]"

// secondLAN: addresses of the second LAN are spoken for there, those of a pool with two
// interfaces on both, by the card that stands there.
func (w *world) secondLAN(t *testing.T) {
	w.serve(t, service("second", dual, "arpeggio.dev/pool: second"), service("wide", v4, "arpeggio.dev/pool: wide"))
	a := w.spoken(t, "second")
	card := w.card(t, a.Status.Node, cluster.SecondLANInterface)
	for _, x := range a.Status.Addresses {
		if x.Interface != cluster.SecondLANInterface || x.MAC != card {
			t.Errorf("status says %+v, want %s of %s with %s", x, cluster.SecondLANInterface, a.Status.Node, card)
		}
	}
	for _, addr := range addresses(t, a) {
		w.answers(t, addr, card)
		if got := w.askOn(t, client1, cluster.LANInterface, addr); len(got) > 0 {
			t.Errorf("%s is answered by %v on the first LAN too", addr, got)
		}
	}
	a = w.spoken(t, "wide")
	for _, device := range []string{cluster.LANInterface, cluster.SecondLANInterface} {
		want := w.card(t, a.Status.Node, device)
		if got := w.askOn(t, client1, device, addresses(t, a)[0]); !slices.Equal(got, []string{want}) {
			t.Errorf("%s on %s: answered by %v, want %s", addresses(t, a)[0], device, got, want)
		}
		if !slices.ContainsFunc(a.Status.Addresses, func(x v1alpha1.SpokenAddress) bool { return x.Interface == device && x.MAC == want }) {
			t.Errorf("status says %+v, want %s with %s among them", a.Status.Addresses, device, want)
		}
	}
}

// twoLANs: a Service with its IPv4 address on one LAN and its IPv6 address on the other. Its
// speaker is cut off from one of them, and another node speaks for both.
func (w *world) twoLANs(t *testing.T) {
	w.serve(t, service("two", dual, `arpeggio.dev/addresses: "192.168.77.228,fd00:79::220"`))
	old := w.spoken(t, "two")
	t.Cleanup(func() { w.healOn(t, old.Status.Node, 2, cluster.HealLAN) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	if err := w.lab.FaultOn(t.Context(), old.Status.Node, 2, cluster.CutLAN); err != nil {
		t.Fatal(err)
	}
	now := w.spokenBy(t, "two", "another node", other(old.Status.Node))
	w.healOn(t, old.Status.Node, 2, cluster.HealLAN)
	time.Sleep(2 * time.Second) // in which it would speak
	seen := watch.end(t)
	seen.silent(t, outage)
	for _, addr := range addrs {
		seen.succession(t, []netip.Addr{addr}, w.card(t, old.Status.Node, device(addr)), w.card(t, now.Status.Node, device(addr)))
	}
	w.tells(t, old, now)
	onTheWire(t, now)
	w.unmoved(t, now)
}

func (w *world) healOn(t *testing.T, host string, lan int, f cluster.Fault) {
	t.Helper()
	if err := w.lab.FaultOn(context.WithoutCancel(t.Context()), host, lan, f); err != nil {
		t.Error(err)
	}
}

// fabric makes the LAN one of a kind, to the test's end.
func (w *world) fabric(t *testing.T, f cluster.Fabric) {
	t.Helper()
	t.Cleanup(func() {
		if err := w.lab.SetFabric(context.WithoutCancel(t.Context()), cluster.Switched); err != nil {
			t.Error(err)
		}
	})
	if err := w.lab.SetFabric(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// watched waits until the condition Watched of a Service's announcement has a value.
func (w *world) watched(t *testing.T, name string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	until(t, 15*time.Second, func() error {
		a := w.spoken(t, name)
		if c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.Watched); c == nil || c.Status != status || c.Reason != reason {
			return fmt.Errorf("condition Watched is %+v, want %s for %s", c, status, reason)
		}
		return nil
	})
}

// isolated: the nodes do not hear each other, and the condition says so. What decides is the
// heartbeat.
func (w *world) isolated(t *testing.T) {
	w.fabric(t, cluster.Isolated)
	w.serve(t, service("isolated", dual))
	old := w.spoken(t, "isolated")
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.Restore) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.watched(t, "isolated", metav1.ConditionFalse, v1alpha1.ReasonNotAsked)
	w.fault(t, old.Status.Node, cluster.Crash)
	now := w.spokenBy(t, "isolated", "another node", other(old.Status.Node))
	seen := watch.end(t)
	seen.silent(t, missed)
	seen.succession(t, addrs, w.mac(t, old.Status.Node), w.mac(t, now.Status.Node))
	w.tells(t, old, now)
	w.restored(t, old.Status.Node)
	w.unmoved(t, now)
}

// suppressing: the fabric was taught where the address is, and answers in the speaker's place
// at its other end, also when that is dead. Its answers bear no mark: they are no reason to
// move, and keep nobody from speaking. It lets pass what is asked of a card alone, or nothing;
// then the heartbeat decides.
func (w *world) suppressing(t *testing.T) {
	w.fabric(t, cluster.Suppressing)
	w.serve(t, service("suppressed", v4, "arpeggio.dev/pool: far"))
	old := w.spokenBy(t, "suppressed", "node2", is("node2"))
	t.Cleanup(func() { w.heal(t, "node2", cluster.Restore) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs)
	for _, addr := range addrs {
		if err := w.lab.Teach(t.Context(), addr, "node2"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(4 * time.Second) // in which nothing may move
	w.unmoved(t, old)
	w.fault(t, "node2", cluster.Crash)
	crashed := time.Now()
	now := w.spokenBy(t, "suppressed", "another node", other("node2"))
	seen := watch.end(t).since(crashed).without(w.mac(t, "node2")) // by now, that is the fabric
	seen.succession(t, addrs, w.mac(t, now.Status.Node))
	for _, addr := range addrs {
		took := first(seen.voices[addr], w.mac(t, now.Status.Node)).Sub(crashed)
		t.Logf("%s: %s speaks %s after the crash", addr, now.Status.Node, took)
		if took > missed {
			t.Errorf("%s: %s speaks %s after the crash, want at most %s", addr, now.Status.Node, took, missed)
		}
	}
	w.tells(t, old, now)
	w.restored(t, "node2")
	w.unmoved(t, now)
}

// proxyARP: the gateway answers every ARP request. That is nobody's voice: a Service gets its
// speaker, nothing moves while nothing happens, and a crash is found out.
func (w *world) proxyARP(t *testing.T) {
	t.Cleanup(func() {
		if err := w.lab.ProxyARP(context.WithoutCancel(t.Context()), false); err != nil {
			t.Error(err)
		}
	})
	if err := w.lab.ProxyARP(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.serve(t, service("proxied", dual))
	old := w.spoken(t, "proxied")
	t.Cleanup(func() { w.heal(t, old.Status.Node, cluster.Restore) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs)
	time.Sleep(5 * time.Second)
	w.unmoved(t, old)
	w.fault(t, old.Status.Node, cluster.Crash)
	now := w.spokenBy(t, "proxied", "another node", other(old.Status.Node))
	seen := watch.end(t)
	if !slices.ContainsFunc(seen.frames, func(f capture.Frame) bool {
		return f.Kind == capture.ARPReply && f.MAC == w.mac(t, cluster.Gateway) && slices.Contains(addrs, f.Addr)
	}) {
		t.Error("the gateway answers for no address: this test shows nothing")
	}
	seen.silent(t, missed)
	seen.without(w.mac(t, cluster.Gateway)).succession(t, addrs, w.mac(t, old.Status.Node), w.mac(t, now.Status.Node))
	w.tells(t, old, now)
	w.restored(t, old.Status.Node)
	w.unmoved(t, now)
}
