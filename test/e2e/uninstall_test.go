// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// uninstall: what was installed goes with its manifest, while Services are still there.
func (w *world) uninstall(t *testing.T) {
	w.apply(t, service("stays", dual))
	addrs := addresses(t, w.spoken(t, "stays"))
	out := w.kubectl(t, "delete", "--timeout=90s", "-f", filepath.Join(w.root, "dist", "install.yaml"))
	if n := len(programs(t, "agent")) + len(programs(t, "manager")); n > 0 {
		t.Errorf("%d processes still run after:\n%s", n, out)
	}
	for _, addr := range addrs {
		if got := w.ask(t, client1, addr); len(got) > 0 {
			t.Errorf("%s is still answered by %v", addr, got)
		}
	}
	if out := w.kubectl(t, "get", "customresourcedefinitions,clusterroles,clusterrolebindings,namespaces", "-o", "name"); strings.Contains(out, "arpeggio") {
		t.Errorf("still there:\n%s", out)
	}
	var leases coordinationv1.LeaseList
	if err := w.api.List(t.Context(), &leases); err != nil {
		t.Fatal(err)
	}
	if n := slices.IndexFunc(leases.Items, func(l coordinationv1.Lease) bool { return l.Namespace == system }); n >= 0 {
		t.Errorf("Lease %s is still there", leases.Items[n].Name)
	}
	var claims networkingv1.IPAddressList
	if err := w.api.List(t.Context(), &claims, client.MatchingLabels{"app.kubernetes.io/managed-by": "arpeggio"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range claims.Items {
		t.Logf("the claim of %s stays, for %s/%s: a new installation finds the Service's address by it", c.Name, c.Spec.ParentRef.Namespace, c.Spec.ParentRef.Name)
	}
	// The user's Service is the user's: it can be deleted without Arpeggio.
	began := time.Now()
	w.kubectl(t, "delete", "service", "stays", "--timeout=20s")
	t.Logf("the Service went in %s", time.Since(began))
}
