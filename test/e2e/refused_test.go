// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// refused: what cannot be had is told where its user looks, and harms nobody else: a good
// Service answers all the time.
func (w *world) refused(t *testing.T) {
	w.serve(t, service("good", dual))
	good := w.spoken(t, "good")
	watch := w.look(t, 20*time.Millisecond, addresses(t, good), probe.HTTP)
	t.Run("admission", w.refusedAtAdmission)
	t.Run("pool", w.refusedByPool)
	t.Run("service", func(t *testing.T) { w.refusedToService(t, good) })
	seen := watch.end(t)
	seen.lossless(t, probe.HTTP)
	seen.heard(t, stall)
	w.unmoved(t, good)
}

// vipPool is the manifest of a pool that no Service gets addresses from unasked.
func vipPool(name, addresses string, more ...string) string {
	return fmt.Sprintf("{apiVersion: arpeggio.dev/v1alpha1, kind: VIPPool, metadata: {name: %s}, spec: {autoAssign: Disabled, addresses: [%s]%s}}",
		name, addresses, strings.Join(append([]string{""}, more...), ", "))
}

// refusedAtAdmission: kubectl apply says what to write instead.
func (w *world) refusedAtAdmission(t *testing.T) {
	for _, test := range []struct {
		name, addresses string
		words           []string
	}{
		{"CIDR", "192.168.77.0/33", []string{"spec.addresses[0]", "must be a CIDR (192.168.7.0/24)"}},
		{"words", "gibberish", []string{"spec.addresses[0]", "a range of two addresses"}},
		{"range", "192.168.77.10-192.168.77.300", []string{"spec.addresses[0]", "a range of two addresses"}},
		{"spaces", `"192.168.77.10 - 192.168.77.20"`, []string{"spec.addresses[0]", "without spaces"}},
		{"families", `"192.168.77.10-fd00:77::20"`, []string{"spec.addresses[0]", "both ends of a range must be of one family"}},
		{"none", "", []string{"spec.addresses"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			manifest := vipPool("bad", test.addresses)
			t.Cleanup(func() { w.remove(t, manifest) })
			out, err := w.tryApply(t, manifest)
			if err == nil || !holds(out, test.words...) {
				t.Errorf("kubectl apply: %v, want an error that says %q:\n%s", err, test.words, out)
			}
		})
	}
	t.Run("interface", func(t *testing.T) {
		manifest := vipPool("bad", "192.168.77.240", `announcements: [{interfaces: ["eth 0"]}]`)
		t.Cleanup(func() { w.remove(t, manifest) })
		if out, err := w.tryApply(t, manifest); err == nil || !holds(out, "interfaces[0]", "as 'ip link' shows it") {
			t.Errorf("kubectl apply: %v:\n%s", err, out)
		}
	})
}

// refusedByPool: the pool's conditions say what is wrong with it.
func (w *world) refusedByPool(t *testing.T) {
	for _, test := range []struct {
		name, addresses, condition string
		status                     metav1.ConditionStatus
		reason                     string
		words                      []string
	}{
		{"reversed", "192.168.77.250-192.168.77.240", v1alpha1.PoolReady, metav1.ConditionFalse, v1alpha1.ReasonInvalidAddresses,
			[]string{"192.168.77.250-192.168.77.240", "192.168.77.240-192.168.77.250"}},
		{"overlap", "192.168.77.229-192.168.77.235", v1alpha1.PoolOverlapping, metav1.ConditionTrue, v1alpha1.ReasonOverlapsPool,
			[]string{"192.168.77.229", "VIPPool lan"}},
		{"node", "198.18.77.10-198.18.77.11", v1alpha1.PoolOverlapping, metav1.ConditionTrue, v1alpha1.ReasonOverlapsNode,
			[]string{"198.18.77.11", "node1"}},
		{"card", "192.168.77.11-192.168.77.12", v1alpha1.PoolOverlapping, metav1.ConditionTrue, v1alpha1.ReasonOverlapsNode,
			[]string{"192.168.77.11", "node1"}},
		{"cluster", "10.96.0.240/28", v1alpha1.PoolOverlapping, metav1.ConditionTrue, v1alpha1.ReasonOverlapsServiceCIDR,
			[]string{"10.96.0.0/16"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			manifest := vipPool(test.name, test.addresses)
			t.Cleanup(func() { w.remove(t, manifest) })
			w.apply(t, manifest)
			w.poolSays(t, test.name, test.condition, test.status, test.reason, test.words...)
			if test.name == "overlap" {
				w.poolSays(t, "lan", test.condition, test.status, test.reason, "192.168.77.229", "VIPPool overlap")
			}
		})
	}
	w.poolSays(t, "lan", v1alpha1.PoolOverlapping, metav1.ConditionFalse, v1alpha1.ReasonNoOverlap)
}

// poolSays waits for a condition of a pool.
func (w *world) poolSays(t *testing.T, name, condition string, status metav1.ConditionStatus, reason string, words ...string) {
	t.Helper()
	until(t, 10*time.Second, func() error {
		var p v1alpha1.VIPPool
		w.get(t, name, &p)
		c := meta.FindStatusCondition(p.Status.Conditions, condition)
		if c == nil || c.Status != status || c.Reason != reason || !holds(c.Message, words...) {
			return fmt.Errorf("VIPPool %s: condition %s %+v, want %s for %s, with %q in its message", name, condition, c, status, reason, words)
		}
		return nil
	})
}

// refusedToService: the Service's Events and the announcement's condition say what cannot
// be had, and why.
func (w *world) refusedToService(t *testing.T, good v1alpha1.VIPAnnouncement) {
	small := vipPool("small", "192.168.77.240")
	none := vipPool("none", "192.168.77.241", "announcements: [{interfaces: [eth9]}]")
	t.Cleanup(func() { w.remove(t, small, none) })
	w.apply(t, small, none)
	w.serve(t, service("first", v4, "arpeggio.dev/pool: small"))
	w.spoken(t, "first")
	w.poolSays(t, "small", v1alpha1.PoolExhausted, metav1.ConditionTrue, v1alpha1.ReasonNoAddressLeft, "IPv4")
	taken := good.Spec.Addresses[0].Address
	for _, test := range []struct {
		name, annotation, reason string
		words                    []string
	}{
		{"outside", "arpeggio.dev/addresses: 192.168.77.99", v1alpha1.ReasonAllocationFailed, []string{"192.168.77.99", "VIPPool", "192.168.77.200-192.168.77.229"}},
		{"taken", "arpeggio.dev/addresses: " + taken, v1alpha1.ReasonAllocationFailed, []string{taken, "taken", "good"}},
		{"unknown", "arpeggio.dev/pool: nowhere", v1alpha1.ReasonAllocationFailed, []string{"nowhere", "lan"}},
		{"exhausted", "arpeggio.dev/pool: small", v1alpha1.ReasonAllocationFailed, []string{"small", "IPv4", "left"}},
		{"gibberish", "arpeggio.dev/addresses: gibberish", v1alpha1.ReasonAllocationFailed, []string{"gibberish", "192.168.1.240"}},
		{"interface", "arpeggio.dev/pool: none", v1alpha1.ReasonNoEligibleNode, []string{"eth9", "eth0", "node1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.serve(t, service(test.name, v4, test.annotation))
			w.refusedFor(t, test.name, test.reason, test.words...)
			if out := w.kubectl(t, "get", "vipannouncements", test.name); !holds(out, "False", test.reason) {
				t.Errorf("kubectl get vipannouncements:\n%s", out)
			}
			if out := w.kubectl(t, "describe", "service", test.name); !holds(out, append(test.words, "Warning", test.reason)...) {
				t.Errorf("kubectl describe service:\n%s", out)
			}
		})
	}
	// What comes free goes to the one who waits.
	w.serve(t, service("waiting", v4, "arpeggio.dev/pool: small"))
	w.refusedFor(t, "waiting", v1alpha1.ReasonAllocationFailed, "small")
	w.remove(t, service("first", v4))
	w.spoken(t, "waiting")
}
