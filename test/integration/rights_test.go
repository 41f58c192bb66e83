// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers"
)

// forbidden notes the requests that are answered 403.
type forbidden struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []string
}

func (f *forbidden) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := f.next.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusForbidden {
		f.mu.Lock()
		f.seen = append(f.seen, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
	}
	return response, err
}

// apply creates what is in a manifest.
func (w *world) apply(path string) {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			w.t.Fatalf("%s: %v", path, err)
		}
		if err := w.client.Create(w.t.Context(), &o); err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatalf("%s: %v", path, err)
		}
	}
}

// The manager does all it does with the rights it is shipped with.
func TestRightsSuffice(t *testing.T) {
	w := newWorld(t)
	w.apply("../../config/rbac/role.yaml")
	w.apply("../../config/rbac/manager.yaml")
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}})
	denied := &forbidden{}
	w.manager(image("registry.example/arpeggio:1"), func(o *controllers.Options) {
		o.LeaderElection = true
		o.Config = rest.CopyConfig(o.Config)
		o.Config.Impersonate = rest.ImpersonationConfig{
			UserName: "system:serviceaccount:" + system + ":arpeggio-manager",
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + system, "system:authenticated"},
		}
		o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			denied.next = next
			return denied
		})
	})
	ds := w.daemonSet(hasImage("registry.example/arpeggio:1"))
	ds.Annotations["arpeggio.dev/spec-hash"] = "old"
	w.update(ds)
	w.eventuallyEvent(system, agent, "AgentsInstalled", "updated")

	secret := w.markKey()
	owner := secret.OwnerReferences[0].UID
	secret.OwnerReferences[0].UID = "of-an-account-that-is-gone"
	w.update(secret)
	w.eventually(func(context.Context) error {
		if got := w.markKey().OwnerReferences[0].UID; got != owner {
			return fmt.Errorf("the key is owned by %s", got)
		}
		return nil
	})

	w.node("node1", card("eth0", "192.168.1.11/24"))
	gone := w.node("node2", card("eth0", "192.168.1.12/24"))
	var l coordinationv1.Lease
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: system, Name: v1alpha1.NodeLease("node2")}, &l); err != nil {
		t.Fatal(err)
	}
	seconds := int32(1)
	l.Spec.LeaseDurationSeconds = &seconds
	w.update(&l)
	p := w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	w.poolIs("lan", has(v1alpha1.PoolReady, yes, v1alpha1.ReasonPoolReady))
	s := w.service("web")
	w.shows("web", "192.168.1.10")
	w.announcement("web", candidates("node1", "node2"))
	w.hold("web", "node1")
	w.hold("web", "")
	w.speaks("web", "node1", "192.168.1.10")
	w.announcement("web", announced(unknown, v1alpha1.ReasonPending))
	w.get("web", s)
	annotated(v1alpha1.AnnotationAddresses, "192.168.1.15")(s)
	w.update(s)
	w.shows("web", "192.168.1.15")
	w.service("refused", annotated(v1alpha1.AnnotationAddresses, "10.1.1.1"))
	w.event("refused", v1alpha1.ReasonAllocationFailed)

	w.probes(false)
	w.service("contested")
	w.announcement("contested", announces("192.168.1.10"))
	w.hears("contested", "192.168.1.10", stranger, v1alpha1.ReasonForeignHost)
	w.probes(true)
	w.shows("contested", "192.168.1.11")
	w.ages("192.168.1.10", time.Hour)
	w.eventually(func(context.Context) error {
		if w.claim("192.168.1.10") != nil {
			return errors.New("it is still set aside")
		}
		return nil
	})

	// Another Service of the same name, while the claim of the first is still there.
	w.get("web", s)
	w.delete(s)
	w.service("web", annotated(v1alpha1.AnnotationAddresses, "192.168.1.15"))
	w.shows("web", "192.168.1.15")
	w.delete(gone)
	w.announcement("web", candidates("node1"))
	w.get("web", s)
	s.Spec.Type = corev1.ServiceTypeClusterIP
	w.update(s)
	w.withdrawn("web", "192.168.1.15")
	w.delete(p)
	w.eventuallyWithin(time.Minute, func(ctx context.Context) error {
		return w.isGone(ctx, &l, types.NamespacedName{Namespace: system, Name: v1alpha1.FactsLease("node2")})
	})
	denied.mu.Lock()
	defer denied.mu.Unlock()
	for _, r := range denied.seen {
		t.Errorf("403: %s", r)
	}
}

// A manager that meets an API server without the kinds it stands on says so at once.
func TestStartSaysWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/apis/networking.k8s.io/v1":  "the API server does not serve ipaddresses of networking.k8s.io/v1: Arpeggio claims addresses by them; run Kubernetes 1.33 or newer",
		"/apis/arpeggio.dev/v1alpha1": "the API server does not serve vippools of arpeggio.dev/v1alpha1: install Arpeggio's CRDs",
	} {
		o := controllers.Options{Config: rest.CopyConfig(server.config), Namespace: system}
		o.Config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &missing{next, path} })
		refusedWith(w.t, controllers.Run(t.Context(), o), want)
	}
	refusedWith(t, controllers.Run(t.Context(), controllers.Options{Namespace: "A_B", HealthAddress: "8081"}), "give a kubeconfig")
	refusedWith(t, controllers.Run(t.Context(), controllers.Options{Namespace: "A_B", HealthAddress: "8081"}), `namespace "A_B"`)
	refusedWith(t, controllers.Run(t.Context(), controllers.Options{Namespace: "A_B", HealthAddress: "8081"}), "write host:port, :port, or 0")
	refusedWith(t, controllers.Run(t.Context(), controllers.Options{Namespace: "A_B", AgentMetricsAddress: ":9810"}), "--agent-metrics-bind-address")
}

// missing answers 404 for one path.
type missing struct {
	next http.RoundTripper
	path string
}

func (m *missing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == m.path {
		return &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Request: r, Header: http.Header{}, Body: http.NoBody}, nil
	}
	return m.next.RoundTrip(r)
}
