// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// world is the cluster with Arpeggio on it, which the tests share.
type world struct {
	lab         *cluster.Cluster
	api         client.Client
	root, image string

	started time.Time // when the API server was started again; zero: it was not
}

const (
	system    = cluster.SystemNamespace
	namespace = "default" // of the tests' Services
	client1   = "client1"
	port      = 80 // of the tests' Services
)

// until waits for f to give no error.
func until(t *testing.T, bound time.Duration, f func() error) {
	t.Helper()
	if err := attempt(bound, f); err != nil {
		t.Fatalf("after %s: %v", bound, err)
	}
}

// attempt calls f until it gives no error, or the time is over.
func attempt(bound time.Duration, f func() error) error {
	for deadline := time.Now().Add(bound); ; time.Sleep(50 * time.Millisecond) {
		if err := f(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// kubectl runs kubectl as the user would; an error ends the test.
func (w *world) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.lab.Kubectl(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tryApply applies a manifest and gives what kubectl says.
func (w *world) tryApply(t *testing.T, manifests ...string) (string, error) {
	t.Helper()
	cmd := w.lab.Kubectl(t.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(manifests, "\n---\n"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) apply(t *testing.T, manifests ...string) {
	t.Helper()
	if out, err := w.tryApply(t, manifests...); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// serve applies manifests, whose objects are deleted at the test's end.
func (w *world) serve(t *testing.T, manifests ...string) {
	t.Helper()
	t.Cleanup(func() { w.remove(t, manifests...) })
	w.apply(t, manifests...)
}

// remove deletes what manifests made, and waits until it is gone; it works in a Cleanup.
func (w *world) remove(t *testing.T, manifests ...string) {
	t.Helper()
	cmd := w.lab.Kubectl(context.WithoutCancel(t.Context()), "delete", "--ignore-not-found", "--timeout=60s", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(manifests, "\n---\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("kubectl delete: %v\n%s", err, out)
	}
}

// get reads an object of the tests' namespace, or of none.
func (w *world) get(t *testing.T, name string, o client.Object) {
	t.Helper()
	if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o); err != nil {
		t.Fatal(err)
	}
}

// spoken waits until somebody speaks for all addresses of a Service, as its announcement
// says.
func (w *world) spoken(t *testing.T, service string) v1alpha1.VIPAnnouncement {
	t.Helper()
	var a v1alpha1.VIPAnnouncement
	until(t, 30*time.Second, func() error {
		a = v1alpha1.VIPAnnouncement{}
		if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: service}, &a); err != nil {
			return err
		}
		c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.Announced)
		switch {
		case c == nil || c.Status != metav1.ConditionTrue:
			return fmt.Errorf("announcement of %s: condition %+v", service, c)
		case a.Status.Node == "" || spokenFor(a) == 0 || spokenFor(a) != len(a.Spec.Addresses):
			return fmt.Errorf("announcement of %s: %q speaks for %v of %v", service, a.Status.Node, a.Status.Addresses, a.Spec.Addresses)
		}
		return nil
	})
	return a
}

// spokenFor counts the addresses that are spoken for, on whatever number of interfaces.
func spokenFor(a v1alpha1.VIPAnnouncement) int {
	distinct := map[string]bool{}
	for _, x := range a.Status.Addresses {
		distinct[x.Address] = true
	}
	return len(distinct)
}

// spokenBy waits until one of the nodes speaks for a Service.
func (w *world) spokenBy(t *testing.T, service, what string, right func(node string) bool) v1alpha1.VIPAnnouncement {
	t.Helper()
	var a v1alpha1.VIPAnnouncement
	until(t, 30*time.Second, func() error {
		if a = w.spoken(t, service); !right(a.Status.Node) {
			return fmt.Errorf("%s is spoken for by %s, want %s", service, a.Status.Node, what)
		}
		return nil
	})
	return a
}

func other(than string) func(string) bool { return func(node string) bool { return node != than } }
func is(this string) func(string) bool    { return func(node string) bool { return node == this } }

// addresses of an announcement.
func addresses(t *testing.T, a v1alpha1.VIPAnnouncement) []netip.Addr {
	t.Helper()
	out := make([]netip.Addr, 0, len(a.Spec.Addresses))
	for _, x := range a.Spec.Addresses {
		addr, err := netip.ParseAddr(x.Address)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, addr)
	}
	return out
}

// host is a host of the lab.
func (w *world) host(t *testing.T, name string) cluster.Host {
	t.Helper()
	h, err := w.lab.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mac is that of a node's card on the LAN.
func (w *world) mac(t *testing.T, node string) string {
	t.Helper()
	return w.card(t, node, cluster.LANInterface)
}

// card is the MAC of one of a node's cards.
func (w *world) card(t *testing.T, node, device string) string {
	t.Helper()
	h := w.host(t, node)
	if device == cluster.SecondLANInterface && h.Second != nil {
		return h.Second.MAC
	}
	return h.MAC
}

// events gives the Events on a Service, as "Reason: message".
func (w *world) events(t *testing.T, service string) []string {
	t.Helper()
	var list corev1.EventList
	if err := w.api.List(t.Context(), &list, client.InNamespace(namespace),
		client.MatchingFields{"involvedObject.kind": "Service", "involvedObject.name": service}); err != nil {
		t.Fatal(err)
	}
	out := make([]string, 0, len(list.Items))
	for _, e := range list.Items {
		out = append(out, e.Reason+": "+e.Message)
	}
	return out
}

// eventually waits for an Event on a Service that holds all the words.
func (w *world) eventually(t *testing.T, service string, words ...string) {
	t.Helper()
	until(t, 10*time.Second, func() error {
		all := w.events(t, service)
		for _, e := range all {
			if holds(e, words...) {
				return nil
			}
		}
		return fmt.Errorf("no Event on %s holds %q; Events:\n%s", service, words, strings.Join(all, "\n"))
	})
}

func holds(text string, words ...string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// settle waits until all nodes, agents, managers and pods are ready, so that what a test
// sees is its own doing.
func (w *world) settle(t *testing.T) {
	t.Helper()
	until(t, 90*time.Second, func() error { return cluster.Settled(t.Context(), w.api) })
}

// justStarted tells whether a line was logged right after the API server was started.
func (w *world) justStarted(line string) bool {
	_, rest, _ := strings.Cut(line, "time=")
	text, _, _ := strings.Cut(rest, " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && at.After(w.started) && at.Before(w.started.Add(15*time.Second))
}

// evidence shows, if the test has failed, what one would look at first; and lets no part of
// Arpeggio be refused anything by the API server in silence. Logs are looked at from a
// time on.
func (w *world) evidence(t *testing.T, since time.Time) {
	t.Helper()
	run := func(args ...string) string {
		out, err := w.lab.Kubectl(t.Context(), args...).CombinedOutput()
		if err != nil {
			return string(out) + err.Error() + "\n"
		}
		return string(out)
	}
	logs := run("-n", system, "logs", "--prefix", "--tail=-1", "--ignore-errors", "--since-time="+since.UTC().Format(time.RFC3339), "-l", "app.kubernetes.io/name=arpeggio")
	for line := range strings.Lines(logs) {
		// An API server that has just started does not know the roles yet.
		if strings.Contains(strings.ToLower(line), "forbidden") && !w.justStarted(line) {
			t.Errorf("refused by the API server: %s", line)
		}
	}
	if t.Failed() {
		for _, p := range w.pods(t, "") { // what a container said that was killed
			logs += run("-n", system, "logs", "--prefix", "--previous", "--ignore-errors", p.Name)
		}
		t.Logf("--- announcements\n%s--- the same in full\n%s--- Leases\n%s--- pods\n%s--- logs\n%s",
			run("get", "vipannouncements", "-A", "-o", "wide"), run("get", "vipannouncements", "-A", "-o", "jsonpath={range .items[*]}{.metadata.name}{\" \"}{.spec}{\" \"}{.status}{\"\\n\"}{end}"),
			run("-n", system, "get", "leases"), run("get", "pods", "-A", "-o", "wide"), logs)
	}
}
