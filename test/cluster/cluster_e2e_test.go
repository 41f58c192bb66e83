// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/oci"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

var (
	vip4 = netip.MustParseAddr("192.168.77.200")
	vip6 = netip.MustParseAddr("fd00:77::200")
)

// TestCluster takes one cluster through its whole life. It needs root, and a machine on which no lab is up.
func TestCluster(t *testing.T) {
	if _, err := cluster.Open(); err == nil {
		t.Fatal("a lab is up on this machine; take it down first")
	}
	if err := cluster.Down(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Build(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	t.Cleanup(func() {
		if err := cluster.Down(context.Background(), io.Discard); err != nil {
			t.Error(err)
		}
	})

	began := time.Now()
	c, err := cluster.Up(t.Context(), cluster.Options{Owned: true, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("Up took %s on a warm cache, want less than a minute", took)
	}
	if got := kubectl(t, c, "get", "nodes", "--no-headers"); strings.Count(got, " Ready ") != 3 {
		t.Fatalf("nodes:\n%s", got)
	}
	l := &life{c: c}
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"service", l.service}, {"pod", l.pod}, {"load", l.load},
		{"cut-lan", l.cutLAN}, {"filters", l.filters}, {"link-down", l.linkDown}, {"cut-api", l.cutAPI},
		{"agent", l.agent}, {"crash", l.crash}, {"control-plane", l.controlPlane},
		{"writes", l.writes}, {"client", l.client}, {"capture", l.capture}, {"up-twice", l.upTwice},
	} {
		if !t.Run(step.name, step.test) {
			t.Fatalf("%s failed; the rest builds on it", step.name)
		}
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	noTraces(t, before)
	if _, err := cluster.Open(); !errors.Is(err, cluster.ErrNotRunning) {
		t.Errorf("Open after Down: %v, want ErrNotRunning", err)
	}
	t.Run("killed", func(t *testing.T) { killed(t, before) })
}

// life is the cluster that the steps work on.
type life struct{ c *cluster.Cluster }

const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 3
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: echo}}}
      containers:
      - name: echo
        image: ` + cluster.EchoImage + `
        env: [{name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: {app: echo}
  ports:
  - {name: tcp, port: 80, targetPort: 8080, protocol: TCP}
  - {name: udp, port: 80, targetPort: 8080, protocol: UDP}
`

// service: pods on all nodes answer at a load balancer address, over both families, once a node speaks for it.
func (l *life) service(t *testing.T) {
	apply(t, l.c, workload)
	kubectl(t, l.c, "rollout", "status", "deployment/echo", "--timeout=60s")
	kubectl(t, l.c, "patch", "service", "echo", "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status":{"loadBalancer":{"ingress":[{"ip":"%s","ipMode":"VIP"},{"ip":"%s","ipMode":"VIP"}]}}}`, vip4, vip6))
	l.speak(t, "node2")
	for _, target := range []netip.Addr{vip4, vip6} {
		for _, kind := range []probe.Kind{probe.HTTP, probe.UDP} {
			eventually(t, func() error { return l.reaches("client1", kind, target, true) })
			r := l.probe(t, "client1", probe.Config{Kind: kind, Target: netip.AddrPortFrom(target, 80)}, time.Second)
			t.Log(r)
			if len(r.Lost) > 0 || len(r.Answers) != 3 {
				t.Errorf("%s: answers %v, errors %v; want all three pods and nothing lost", r, r.Answers, r.Errors)
			}
		}
	}
}

// speak makes the client believe that the node speaks for the addresses.
func (l *life) speak(t *testing.T, node string) {
	t.Helper()
	h, err := l.c.Host(node)
	if err != nil {
		t.Fatal(err)
	}
	for _, vip := range []netip.Addr{vip4, vip6} {
		l.exec(t, "client1", "ip", "neigh", "replace", vip.String(), "lladdr", h.MAC, "dev", h.Interface)
	}
}

// pod: logs and exec work, a pod has its own token, of which the node is a part, and the API server keeps RBAC.
func (l *life) pod(t *testing.T) {
	pod := strings.Fields(kubectl(t, l.c, "get", "pods", "-l", "app=echo", "-o", "name"))[0]
	kubectl(t, l.c, "logs", pod)
	out, _ := l.c.Kubectl(t.Context(), "exec", pod, "--", "/echo").CombinedOutput()
	if !strings.Contains(string(out), "address already in use") {
		t.Errorf("kubectl exec: %s", out)
	}
	if got := kubectl(t, l.c, "auth", "can-i", "--list", "--as=system:serviceaccount:default:default"); strings.Contains(got, "pods ") {
		t.Errorf("the default service account may:\n%s", got)
	}
	got := kubectl(t, l.c, "get", pod, "-o", "jsonpath={.spec.volumes[0].projected.sources[*].serviceAccountToken.path}{.status.podIPs}")
	if !strings.HasPrefix(got, "token") || strings.Count(got, `"ip"`) != 2 {
		t.Errorf("token and addresses of a pod: %s", got)
	}
}

func (l *life) load(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	image := oci.Image{Names: []string{"docker.io/arpeggio-lab/loaded:v1"}, Name: "nothing", Program: []byte("#!"), User: 1}
	if err := errors.Join(oci.Write(f, image), f.Close(), l.c.Load(t.Context(), archive)); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"node1", "node2", "node3"} {
		if got := l.images(t, node); !strings.Contains(got, "docker.io/arpeggio-lab/loaded:v1") {
			t.Errorf("images of %s:\n%s", node, got)
		}
	}
}

func (l *life) images(t *testing.T, node string) string {
	t.Helper()
	ctr := filepath.Join(l.c.Binaries().Containerd, "ctr")
	out, err := exec.Command(ctr, "--address="+filepath.Join(cluster.StateDir, node, "containerd.sock"), "--namespace=k8s.io", "images", "list", "-q").CombinedOutput()
	if err != nil {
		t.Fatalf("ctr: %v: %s", err, out)
	}
	return string(out)
}

// upTwice: a second Up changes nothing, another shape is refused.
func (l *life) upTwice(t *testing.T) {
	pods := kubectl(t, l.c, "get", "pods", "-o", "custom-columns=:metadata.uid,:status.containerStatuses[0].restartCount")
	if _, err := cluster.Up(t.Context(), cluster.Options{Progress: t.Output()}); err != nil {
		t.Fatal(err)
	}
	if got := kubectl(t, l.c, "get", "pods", "-o", "custom-columns=:metadata.uid,:status.containerStatuses[0].restartCount"); got != pods {
		t.Errorf("pods before a second Up:\n%s\nafter:\n%s", pods, got)
	}
	if _, err := cluster.Up(t.Context(), cluster.Options{Nodes: 2}); err == nil {
		t.Error("Up with another number of nodes: no error")
	}
}

// capture: the switch sees who speaks for an address, and when two do.
func (l *life) capture(t *testing.T) {
	vip := netip.MustParseAddr("192.168.77.210")
	node1, _ := l.c.Host("node1")
	node2, _ := l.c.Host("node2")
	recording, err := l.c.Capture()
	if err != nil {
		t.Fatal(err)
	}
	asking, err := l.c.Probe(t.Context(), cluster.Gateway, probe.Config{Kind: probe.ARP, Target: netip.AddrPortFrom(vip, 0)})
	if err != nil {
		t.Fatal(err)
	}
	has := func(verb, node string) { l.exec(t, node, "ip", "address", verb, vip.String()+"/32", "dev", "eth0") }
	has("add", "node1")
	time.Sleep(300 * time.Millisecond)
	has("delete", "node1")
	handed := time.Now()
	has("add", "node2")
	time.Sleep(300 * time.Millisecond)
	has("add", "node1")
	time.Sleep(300 * time.Millisecond)
	report, err := asking.Stop()
	if err != nil {
		t.Fatal(err)
	}
	has("delete", "node1")
	has("delete", "node2")
	frames, err := recording.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	ndp := l.probe(t, cluster.Gateway, probe.Config{Kind: probe.NDP, Target: netip.AddrPortFrom(node1.IPv6, 0)}, 200*time.Millisecond)
	if ndp.Answers[node1.MAC] == 0 || ndp.Answers[node1.MAC] != ndp.Sent {
		t.Errorf("%s: answers %v, want all from node1 %s", ndp, ndp.Answers, node1.MAC)
	}
	whole := capture.Voices(frames, 250*time.Millisecond)[vip]
	t.Log(whole)
	if macs := whole.MACs(); !slices.Equal(macs, []string{node1.MAC, node2.MAC}) {
		t.Errorf("spoke for %s: %v, want node1 %s, then node2 %s", vip, macs, node1.MAC, node2.MAC)
	}
	if whole.Overlap < 100*time.Millisecond {
		t.Errorf("overlap %s although both had the address for 300 ms", whole.Overlap)
	}
	first := slices.DeleteFunc(frames, func(f capture.Frame) bool { return f.Time.After(handed.Add(250 * time.Millisecond)) })
	if overlap := capture.Voices(first, 250*time.Millisecond)[vip].Overlap; overlap != 0 {
		t.Errorf("overlap %s although one had the address after the other", overlap)
	}
	if len(report.Answers) != 2 || report.Silence.Length() > 500*time.Millisecond {
		t.Errorf("report %s, answers %v", report, report.Answers)
	}
}
