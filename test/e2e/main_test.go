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
	keep := os.Getenv("KEEP") == "1"
	t.Cleanup(func() {
		if keep {
			t.Log("the cluster stays (KEEP=1); end it with 'bin/lab down'")
		} else if err := cluster.Down(context.Background(), t.Output()); err != nil {
			t.Error(err)
		}
	})
	lab, err := cluster.Up(t.Context(), cluster.Options{Progress: t.Output()})
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
	var since time.Time // the first test sees the logs from the beginning
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"install", w.install},
		{"service", w.service},
		{"local", w.local},
		{"follow", w.follow},
		{"class", w.class},
		{"refused", w.refused},
		{"exclude", w.exclude},
		{"sigterm", w.sigterm},
		{"rollout", w.rollout},
		{"manager", w.manager},
		{"kill", w.kill},
		{"pause", w.pause},
		{"crash", w.crash},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer w.evidence(t, since) // before the test's Cleanups
			w.settle(t)
			test.run(t)
		})
		since = time.Now()
	}
	if !keep {
		t.Run("uninstall", w.uninstall)
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
