// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/arpeggio-lb/arpeggio/controllers"
)

const (
	assets   = "KUBEBUILDER_ASSETS"
	system   = "arpeggio-system"
	patience = 20 * time.Second
)

// server is the API server that all tests share; they run one after another.
var server struct {
	config *rest.Config
	env    *envtest.Environment
	client client.Client
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(assets) == "" {
		fmt.Fprintf(os.Stderr, "SKIP: %s is not set: it names the folder with etcd and kube-apiserver (make integration sets it)\n", assets)
		if os.Getenv("CI") == "true" {
			return 1
		}
		return 0
	}
	log.SetLogger(logr.Discard()) // the managers have loggers of their own
	if err := startServer(); err != nil {
		fmt.Fprintln(os.Stderr, "starting the API server:", err)
		return 1
	}
	defer func() {
		if err := server.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the API server:", err)
		}
	}()
	return m.Run()
}

// startServer starts etcd and kube-apiserver with both families and the CRDs.
func startServer() error {
	apiServer := &envtest.APIServer{}
	args := apiServer.Configure()
	args.Set("service-cluster-ip-range", "10.96.0.0/16,fd00:96::/108")
	server.env = &envtest.Environment{
		ControlPlane:             envtest.ControlPlane{APIServer: apiServer},
		CRDDirectoryPaths:        []string{filepath.Join("..", "..", "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: time.Minute,
	}
	config, err := server.env.Start()
	if err != nil {
		return err
	}
	config.QPS = -1
	server.config = config
	scheme, err := controllers.Scheme()
	if err != nil {
		return err
	}
	if server.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return server.client.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}})
}
