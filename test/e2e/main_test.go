// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// TestArpeggio installs Arpeggio on a cluster of its own and runs the tests on it, in this
// order. "-run TestArpeggio/crash" runs one.
func TestArpeggio(t *testing.T) {
	w := begin(t, cluster.Options{Clients: 2})
	w.runs(t, []step{
		{"install", w.install},
		{"service", w.service},
		{"local", w.local},
		{"follow", w.follow},
		{"class", w.class},
		{"refused", w.refused},
		{"leave", w.leave},
		{"interfaces", w.interfaces},
		{"conflict", w.conflict},
		{"kernel-answers", w.kernel},
		{"ping", w.ping},
		{"kill-all", w.killAll}, // before kill: the kubelet waits before a second start
		{"sigterm", w.sigterm},
		{"rollout", w.rollout},
		{"manager", w.manager},
		{"kill", w.kill},
		{"hang", w.hang},
		{"pause", w.pause},
		{"cable", w.cable},
		{"blocked", w.blocked},
		{"flap", w.flap},
		{"blink", w.blink},
		{"pair", w.pair},
		{"unheard", w.unheard},
		{"split", w.split},
		{"mac", w.newMAC},
		{"address", w.newAddress},
		{"renamed", w.renamed},
		{"cut", w.cut},
		{"stopped", w.stopped},
		{"blackhole", w.blackhole},
		{"crash", w.crash},
		{"both", w.both},
		{"reused", w.reused},
	})
	if !keep() {
		t.Run("uninstall", w.uninstall)
	}
}

// keep tells whether the last cluster shall stay.
func keep() bool { return os.Getenv("KEEP") == "1" }

// begin starts a cluster and installs Arpeggio on it; the cluster ends with the test.
func begin(t *testing.T, o cluster.Options) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests need root: they make network namespaces and start a cluster in them")
	}
	root, err := cluster.SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(root, "bin", "arpeggio.tar")
	for _, file := range []string{image, filepath.Join(root, "dist", "install.yaml")} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: run 'make image manifests' first", err)
		}
	}
	t.Cleanup(func() {
		if keep() {
			t.Log("the cluster stays (KEEP=1); end it with 'bin/lab down'")
		} else if err := cluster.Down(context.Background(), t.Output()); err != nil {
			t.Error(err)
		}
	})
	if c, err := cluster.Open(); keep() && err == nil && !alike(c, o) { // an earlier test's
		if err := c.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o.Progress, o.Owned = t.Output(), !keep()
	lab, err := cluster.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	lab = lab.WithProgress(t.Output())
	if err := errors.Join(lab.Load(t.Context(), image), lab.Install(t.Context())); err != nil {
		t.Fatal(err)
	}
	w := &world{lab: lab, api: connect(t, lab), root: root, image: image}
	w.apply(t, pool, deployment("echo", 3, ""))
	w.settle(t)
	return w
}

// alike tells whether a cluster has as many LANs as wanted.
func alike(c *cluster.Cluster, o cluster.Options) bool {
	h, err := c.Host(cluster.Gateway)
	return err == nil && (h.Second != nil) == (o.LANs == 2)
}

// step is one of the tests that share a cluster.
type step struct {
	name string
	run  func(*testing.T)
}

func (w *world) runs(t *testing.T, steps []step) {
	var since time.Time // the first test sees the logs from the beginning
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			defer w.evidence(t, since) // before the test's Cleanups
			w.settle(t)
			s.run(t)
		})
		since = time.Now()
	}
}

// connect gives a client with the administrator's rights.
func connect(t *testing.T, lab *cluster.Cluster) client.Client {
	t.Helper()
	kinds := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(kinds), v1alpha1.AddToScheme(kinds)); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", lab.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	api, err := client.New(config, client.Options{Scheme: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return api
}
