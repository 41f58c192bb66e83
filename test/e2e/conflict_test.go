// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// stranger is a host on the LAN that knows nothing of the cluster.
const stranger = "client2"

// forgotten is how long a conflict is told of at most after the stranger has gone: nobody was
// heard for 90 s, and the question for it comes every 30 s.
const forgotten = 150 * time.Second

// conflict: a stranger uses addresses that the pool holds: before anybody speaks for them, and
// while somebody does. What is in use is not given out, unless it was asked for; what is spoken
// for is defended, or given up. In each case it is told, with the stranger's MAC, and when the
// stranger goes the address is used.
func (w *world) conflict(t *testing.T) {
	defended := w.conflictDefended(t)
	t.Run("before", w.conflictBefore)
	t.Run("asked-for", w.conflictAskedFor)
	t.Run("yield", w.conflictYield)
	t.Run("over", func(t *testing.T) {
		until(t, forgotten, func() error { return w.conflicts(t, defended, metav1.ConditionFalse) })
	})
}

// has gives the stranger an address, as a host has that was set up by hand: its kernel answers.
func (w *world) has(t *testing.T, addrs ...netip.Addr) (leaves func()) {
	t.Helper()
	leaves = sync.OnceFunc(func() {
		for _, addr := range addrs {
			w.ip(t, stranger, "address", "delete", single(addr), "dev", cluster.LANInterface)
		}
	})
	t.Cleanup(leaves)
	for _, addr := range addrs {
		args := []string{"address", "add", single(addr), "dev", cluster.LANInterface}
		if addr.Is6() {
			args = append(args, "nodad")
		}
		w.ip(t, stranger, args...)
	}
	return leaves
}

// single is an address as the prefix that holds it alone.
func single(addr netip.Addr) string { return netip.PrefixFrom(addr, addr.BitLen()).String() }

// claims has the stranger tell the LAN that an IPv4 address is his.
func (w *world) claims(t *testing.T, addr netip.Addr) {
	t.Helper()
	// -U sends requests that nobody answers, and that is an error to arping.
	_ = w.run(t, stranger, "arping", "-U", "-c", "1", "-w", "1", "-I", cluster.LANInterface, "-s", addr.String(), addr.String())
}

// conflicts is nil if the condition AddressConflict of a Service is what is wanted; absent is
// False. If it is True it names the stranger's MAC, and kubectl describe shows the same.
func (w *world) conflicts(t *testing.T, name string, status metav1.ConditionStatus) error {
	t.Helper()
	var a v1alpha1.VIPAnnouncement
	if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &a); err != nil {
		return err
	}
	c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.AddressConflict)
	switch is := c != nil && c.Status == metav1.ConditionTrue; {
	case is != (status == metav1.ConditionTrue):
		return fmt.Errorf("%s: condition AddressConflict is %+v, want %s; conflicts %+v", name, c, status, a.Status.Conflicts)
	case is && (c.Reason != v1alpha1.ReasonForeignHost || !strings.Contains(c.Message, w.mac(t, stranger))):
		return fmt.Errorf("%s: condition AddressConflict is %+v, want %s and the MAC %s", name, c, v1alpha1.ReasonForeignHost, w.mac(t, stranger))
	}
	return nil
}

// conflictDefended: a stranger takes an address that is spoken for, and tells the LAN. The
// speaker tells it otherwise, once, and the client finds back; nothing moves. It gives the
// Service, for which the conflict is over some time after.
func (w *world) conflictDefended(t *testing.T) string {
	const name = "defended"
	w.serve(t, service(name, v4))
	a := w.spoken(t, name)
	addr := addresses(t, a)[0]
	mac := w.mac(t, a.Status.Node)
	leave := w.has(t, addr)
	watch := w.look(t, time.Second, []netip.Addr{addr})
	for range 3 {
		w.claims(t, addr)
		time.Sleep(time.Second)
	}
	until(t, 15*time.Second, func() error { return w.conflicts(t, name, metav1.ConditionTrue) })
	w.eventually(t, name, v1alpha1.EventAddressConflict, addr.String(), w.mac(t, stranger))
	leave()
	until(t, 15*time.Second, func() error {
		if got := w.run(t, client1, "ip", "neighbor", "show", addr.String()); got != "" && !strings.Contains(got, "lladdr "+mac+" ") {
			return fmt.Errorf("the client's neighbour table has %q, want %s", got, mac)
		}
		return nil
	})
	seen := watch.end(t)
	w.unmoved(t, a)
	var heard, defended time.Time
	answers := 0
	for _, f := range capture.Of(seen.frames, addr) {
		switch claim := f.Kind == capture.ARPClaim; {
		case claim && f.MAC == w.mac(t, stranger) && heard.IsZero():
			heard = f.Time
		case claim && f.MAC == mac && !heard.IsZero():
			if answers++; defended.IsZero() {
				defended = f.Time
			}
		}
	}
	if heard.IsZero() || defended.IsZero() {
		t.Fatalf("%s: the stranger claimed it at %s, the speaker at %s; want both", addr, heard, defended)
	}
	t.Logf("%s: defended %s after the claim, by %d requests", addr, defended.Sub(heard), answers)
	if took := defended.Sub(heard); took > stall+seen.noise {
		t.Errorf("%s: defended %s after the claim, want at most %s and the noise of %s", addr, took, stall, seen.noise)
	}
	if answers > 20 { // two rounds of announcement are at most sixteen
		t.Errorf("%s: the speaker sent %d claims within seconds: it quarrels", addr, answers)
	}
	return name
}

// small is a pool of three addresses of each family, of which the stranger has the first.
var small = vipPool("small", `192.168.77.236-192.168.77.238, "fd00:77::2f0-fd00:77::2f2"`)

// conflictBefore: the first addresses of a pool are a stranger's. The Service gets others, and no
// node ever said that it had the stranger's.
func (w *world) conflictBefore(t *testing.T) {
	his := []netip.Addr{netip.MustParseAddr("192.168.77.236"), netip.MustParseAddr("fd00:77::2f0")}
	w.has(t, his...)
	lan, err := w.lab.CaptureOn(cluster.LANBridge)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.serve(t, small, service("before", dual, "arpeggio.dev/pool: small"))
	until(t, 45*time.Second, func() error {
		a := w.spoken(t, "before")
		for _, addr := range addresses(t, a) {
			if slices.Contains(his, addr) {
				return fmt.Errorf("%s is a stranger's", addr)
			}
		}
		return nil
	})
	t.Logf("spoken for %s after it was applied", time.Since(began))
	frames, err := lan.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range his {
		w.eventually(t, "before", v1alpha1.EventAddressSetAside, addr.String(), w.mac(t, stranger))
		for _, f := range capture.Of(frames, addr) {
			if f.Answer() && f.MAC != w.mac(t, stranger) {
				t.Errorf("%s is the stranger's: %s", addr, f)
			}
		}
	}
	a := w.spoken(t, "before")
	for _, addr := range addresses(t, a) {
		w.answers(t, addr, w.mac(t, a.Status.Node))
	}
	until(t, 10*time.Second, func() error { return w.conflicts(t, "before", metav1.ConditionFalse) })
	var s corev1.Service
	w.get(t, "before", &s)
	for _, in := range s.Status.LoadBalancer.Ingress {
		if slices.Contains(his, netip.MustParseAddr(in.IP)) {
			t.Errorf("the Service shows %s, which is a stranger's", in.IP)
		}
	}
}

// conflictAskedFor: a Service asks for the address that a stranger has. It gets it, it is told,
// and nobody speaks for it until the stranger has gone.
func (w *world) conflictAskedFor(t *testing.T) {
	addr := netip.MustParseAddr("192.168.77.239")
	leave := w.has(t, addr)
	w.serve(t, vipPool("asked", addr.String()), service("asked", v4, `arpeggio.dev/addresses: "`+addr.String()+`"`))
	until(t, 20*time.Second, func() error { return w.conflicts(t, "asked", metav1.ConditionTrue) })
	w.eventually(t, "asked", v1alpha1.EventAddressConflict, addr.String(), w.mac(t, stranger))
	if got := w.ask(t, client1, addr); !slices.Equal(got, []string{w.mac(t, stranger)}) {
		t.Errorf("who has %s? %v, want the stranger alone", addr, got)
	}
	leave()
	until(t, 90*time.Second, func() error {
		var a v1alpha1.VIPAnnouncement
		w.get(t, "asked", &a)
		if a.Status.Node == "" {
			return fmt.Errorf("nobody speaks for %s: %+v", addr, a.Status.Conditions)
		}
		return nil
	})
	a := w.spoken(t, "asked")
	w.answers(t, addr, w.mac(t, a.Status.Node))
	until(t, 20*time.Second, func() error { return w.conflicts(t, "asked", metav1.ConditionFalse) })
}

// conflictYield: under the policy Yield an address that a stranger takes is given up, and the
// Service gets another.
func (w *world) conflictYield(t *testing.T) {
	w.serve(t, vipPool("yielding", "192.168.77.244-192.168.77.245", "conflictPolicy: Yield"), service("yielding", v4, "arpeggio.dev/pool: yielding"))
	old := addresses(t, w.spoken(t, "yielding"))[0]
	w.has(t, old)
	w.claims(t, old)
	until(t, 45*time.Second, func() error {
		if now := addresses(t, w.spoken(t, "yielding"))[0]; now == old {
			return fmt.Errorf("the Service still has %s", old)
		}
		return nil
	})
	w.eventually(t, "yielding", v1alpha1.EventAddressSetAside, old.String(), w.mac(t, stranger))
	if got := w.ask(t, client1, old); !slices.Equal(got, []string{w.mac(t, stranger)}) {
		t.Errorf("who has %s? %v, want the stranger alone", old, got)
	}
}

// kernel: an address is left on an interface of a node that does not speak for it, and its kernel
// answers the LAN. It is told with node, interface and remedy, until it is gone.
func (w *world) kernel(t *testing.T) {
	w.serve(t, service("kernel", v4))
	a := w.spoken(t, "kernel")
	addr, node := addresses(t, a)[0], standbys(a)[0]
	remove := func() {
		_ = w.lab.Command(context.WithoutCancel(t.Context()), node, "ip", "address", "delete", single(addr), "dev", "lo").Run()
	}
	t.Cleanup(remove)
	w.ip(t, node, "address", "add", single(addr), "dev", "lo")
	if got := w.ask(t, client1, addr); !slices.Contains(got, w.mac(t, node)) {
		t.Errorf("who has %s? %v, want the kernel of %s among them: this test shows nothing", addr, got, node)
	}
	tells := func(status metav1.ConditionStatus) error {
		var a v1alpha1.VIPAnnouncement
		w.get(t, "kernel", &a)
		c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.KernelAnswers)
		if is := c != nil && c.Status == metav1.ConditionTrue; is != (status == metav1.ConditionTrue) || is && !holds(c.Message, node, "lo", addr.String()) {
			return fmt.Errorf("condition KernelAnswers is %+v, want %s, and %s, lo and %s in its message", c, status, node, addr)
		}
		return nil
	}
	until(t, 10*time.Second, func() error { return tells(metav1.ConditionTrue) })
	w.eventually(t, "kernel", v1alpha1.EventKernelAnswers, node, "lo", addr.String())
	remove()
	until(t, 10*time.Second, func() error { return tells(metav1.ConditionFalse) })
	w.unmoved(t, a)
}

// ping: the addresses of a pool that says so answer ping, by the card that speaks, also after a
// handover; those of another do not.
func (w *world) ping(t *testing.T) {
	w.serve(t, vipPool("pinged", `192.168.77.246, "fd00:77::2f8"`, "ping: Enabled"), service("pinged", dual, "arpeggio.dev/pool: pinged"), service("mute", v4))
	a := w.spoken(t, "pinged")
	pings := func(addr netip.Addr) string {
		return w.run(t, client1, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", addr.String())
	}
	for _, addr := range addresses(t, a) {
		if out := pings(addr); !holds(out, "3 received, 0% packet loss") || strings.Contains(out, "DUP") {
			t.Errorf("ping %s:\n%s", addr, out)
		}
	}
	for _, addr := range addresses(t, w.spoken(t, "mute")) {
		if out := pings(addr); !holds(out, "0 received") {
			t.Errorf("ping %s, whose pool does not say so:\n%s", addr, out)
		}
	}
	watch := w.look(t, 20*time.Millisecond, addresses(t, a), probe.UDP)
	w.fault(t, a.Status.Node, cluster.LinkDown)
	t.Cleanup(func() { w.heal(t, a.Status.Node, cluster.LinkUp) })
	w.spokenBy(t, "pinged", "another node", other(a.Status.Node))
	for _, addr := range addresses(t, a) {
		if out := pings(addr); !holds(out, "3 received") {
			t.Errorf("ping %s after a takeover:\n%s", addr, out)
		}
	}
	watch.end(t).silent(t, outage)
}
