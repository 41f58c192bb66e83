// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

const (
	namespace     = "default"
	system        = cluster.SystemNamespace
	settleTimeout = 2 * time.Minute
)

// world is the cluster with Arpeggio on it.
type world struct {
	lab *cluster.Cluster
	api client.Client
}

// newWorld starts the lab and installs Arpeggio, its pool and the pods that answer.
func newWorld(ctx context.Context, bench options) (*world, error) {
	root, err := cluster.SourceRoot()
	if err != nil {
		return nil, err
	}
	o := cluster.Options{Progress: os.Stderr, Clients: 1, Owned: !bench.keep}
	if bench.peers {
		o.Clients += len(peerHosts)
	}
	lab, err := cluster.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	lab = lab.WithProgress(os.Stderr)
	if err := errors.Join(lab.Load(ctx, filepath.Join(root, "bin", "arpeggio.tar")), lab.Install(ctx)); err != nil {
		return nil, err
	}
	kinds := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(kinds), v1alpha1.AddToScheme(kinds)); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", lab.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	api, err := client.New(config, client.Options{Scheme: kinds})
	if err != nil {
		return nil, err
	}
	// The steps of faults are told by the bench itself.
	w := &world{lab: lab.WithProgress(nil), api: api}
	if err := w.apply(ctx, pool, backends); err != nil {
		return nil, err
	}
	return w, w.settle(ctx)
}

func (w *world) kubectl(ctx context.Context, args ...string) error {
	out, err := w.lab.Kubectl(ctx, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (w *world) apply(ctx context.Context, manifests ...string) error {
	cmd := w.lab.Kubectl(ctx, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(manifests, "\n---\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, out)
	}
	return nil
}

// until calls f until it gives no error; then, or when it is too late, that is the result.
func until(ctx context.Context, bound time.Duration, f func() error) error {
	for deadline := time.Now().Add(bound); ; {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if stop := sleep(ctx, 100*time.Millisecond); stop != nil {
			return errors.Join(stop, err)
		}
	}
}

// settle waits until all nodes, agents, managers and pods are ready.
func (w *world) settle(ctx context.Context) error {
	return until(ctx, settleTimeout, func() error { return cluster.Settled(ctx, w.api) })
}

// spoken waits until somebody speaks for all addresses of a Service, and others could.
func (w *world) spoken(ctx context.Context, name string) (v1alpha1.VIPAnnouncement, error) {
	var a v1alpha1.VIPAnnouncement
	return a, until(ctx, settleTimeout, func() error {
		a = v1alpha1.VIPAnnouncement{}
		if err := w.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &a); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.Announced) || a.Status.Node == "" || len(a.Status.Addresses) != len(a.Spec.Addresses) || len(a.Spec.Candidates) < 2 {
			return fmt.Errorf("%s: %q speaks for %v of %v, candidates %v", name, a.Status.Node, a.Status.Addresses, a.Spec.Addresses, a.Spec.Candidates)
		}
		return nil
	})
}

func addresses(a v1alpha1.VIPAnnouncement) []netip.Addr {
	var all []netip.Addr
	for _, x := range a.Spec.Addresses {
		all = append(all, netip.MustParseAddr(x.Address))
	}
	return all
}

// serveFrom makes the Services' pods those on all nodes but one, and waits until every node's kube-proxy knows.
func (w *world) serveFrom(ctx context.Context, allBut string, services []string, addrs []netip.Addr) error {
	var pods corev1.PodList
	if err := w.api.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app": "echo"}); err != nil {
		return err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		serves := `"yes"`
		if p.Spec.NodeName == allBut {
			serves = "null"
		}
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"serves":`+serves+`}}}`))
		if err := w.api.Patch(ctx, p, patch); err != nil {
			return err
		}
	}
	if err := sleep(ctx, 2*time.Second); err != nil { // kube-proxy's rules come after the slice
		return err
	}
	asking, ctx := errgroup.WithContext(ctx)
	for _, addr := range addrs {
		asking.Go(func() error { return w.reachable(ctx, askingClient, addr, allBut) })
	}
	for _, name := range services {
		var s corev1.Service
		if err := w.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s); err != nil {
			return errors.Join(err, asking.Wait())
		}
		// A request to the cluster's address for it goes to the kube-proxy of the node that asks: after the API
		// server was away, one may be behind for a minute.
		for _, h := range w.lab.Hosts() {
			if h.Role != cluster.RoleNode {
				continue
			}
			for _, ip := range s.Spec.ClusterIPs {
				addr, err := netip.ParseAddr(ip)
				if err != nil {
					return errors.Join(err, asking.Wait())
				}
				asking.Go(func() error { return w.reachable(ctx, h.Name, addr, allBut) })
			}
		}
	}
	return asking.Wait()
}

// reachable waits until requests of a host to an address are all answered, and none of them on a node.
func (w *world) reachable(ctx context.Context, from string, addr netip.Addr, notOn string) error {
	return until(ctx, 90*time.Second, func() error {
		p, err := w.lab.Probe(ctx, from, probe.Config{Kind: probe.UDP, Target: netip.AddrPortFrom(addr, servicePort), Timeout: 200 * time.Millisecond})
		if err != nil {
			return err
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
		r, err := p.Stop()
		if err != nil {
			return err
		}
		for who := range r.Answers {
			if notOn != "" && strings.Contains(who, "node="+notOn) {
				return fmt.Errorf("%s is still answered on %s, from %s", addr, notOn, from)
			}
		}
		if len(r.Lost) > 0 {
			return fmt.Errorf("from %s: %s; errors %v", from, r, r.Errors)
		}
		return nil
	})
}

// agent is the name of the agent's pod on a node.
func (w *world) agent(ctx context.Context, node string) (string, error) {
	var pods corev1.PodList
	if err := w.api.List(ctx, &pods, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/component": "agent"}); err != nil {
		return "", err
	}
	for _, p := range pods.Items {
		if p.Spec.NodeName == node {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("no agent on %s", node)
}
