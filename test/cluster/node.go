// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

const (
	cgroupRoot    = "/arpeggio-lab"
	podBridge     = "cni0"
	pauseImage    = "docker.io/arpeggio-lab/pause:v1"
	overlayFSType = 0x794c7630
)

// writeNodeConfig writes the configuration of a node's containerd, CNI and kubelet.
func writeNodeConfig(h Host, b Binaries) error {
	dir := hostDir(h.Name)
	cni, err := cniConfig(h)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"containerd.toml":        containerdConfig(h, b, snapshotter()),
		"cni/10-bridge.conflist": cni,
		"kubelet.yaml":           kubeletConfig(h),
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// snapshotter is overlayfs, or native where the state directory is itself on an overlay, as inside a container.
func snapshotter() string {
	var st unix.Statfs_t
	if unix.Statfs(StateDir, &st) == nil && st.Type == overlayFSType {
		return "native"
	}
	return "overlayfs"
}

func containerdConfig(h Host, b Binaries, snapshotter string) string {
	return fmt.Sprintf(`version = 3
root = '/var/lib/containerd'
state = '/run/containerd'

[grpc]
  address = '%[1]s'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = '%[2]s'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '%[3]s'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['%[4]s']
    conf_dir = '%[5]s'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '%[6]s'
      SystemdCgroup = false

[plugins.'io.containerd.nri.v1.nri']
  disable = true
`, containerdSocket(h.Name), snapshotter, pauseImage, b.Containerd, filepath.Join(hostDir(h.Name), "cni"), findProgram("runc"))
}

func cniConfig(h Host) (string, error) {
	type object = map[string]any
	b, err := json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       "lab",
		"plugins": []object{
			{
				"type": "bridge", "bridge": podBridge, "isGateway": true, "hairpinMode": true, "enabledad": false,
				"ipam": object{
					"type": "host-local",
					// On a file system that a restart clears, or addresses of pods that died with the node stay taken.
					"dataDir": "/run/cni/networks",
					"ranges": [][]object{
						{{"subnet": h.PodCIDRs[0].String()}},
						{{"subnet": h.PodCIDRs[1].String()}},
					},
					"routes": []object{{"dst": "0.0.0.0/0"}, {"dst": "::/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}, "backend": "nftables"},
		},
	}, "", "  ")
	return string(b), err
}

func kubeletConfig(h Host) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: %[1]s
authorization:
  mode: Webhook
containerRuntimeEndpoint: unix://%[2]s
clusterDNS: [%[3]s]
clusterDomain: cluster.local
resolvConf: %[4]s
volumePluginDir: /var/lib/kubelet/volume-plugins
# The node's control groups are a part of the machine's, which may be of version 1.
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
failSwapOn: false
evictionHard: {}
# Images were loaded by hand and cannot be pulled again.
imageGCHighThresholdPercent: 100
`, filepath.Join(pkiDir(), "ca.crt"), containerdSocket(h.Name), clusterDNS, filepath.Join(hostDir(h.Name), machine.ResolvConf))
}

// nodeSpec is the machine that is a Kubernetes node.
func nodeSpec(h Host, b Binaries) machine.Spec {
	dir := hostDir(h.Name)
	kubernetes := func(name string) string { return filepath.Join(b.Kubernetes, name) }
	return machine.Spec{
		Hostname: h.Name, NetworkNamespace: namespacePath(h.Namespace), Dir: dir, Shared: StateDir, Cgroup: cgroup(h),
		Processes: []machine.Process{
			{Name: "containerd", Path: b.Containerd, Args: []string{
				filepath.Join(b.Containerd, "containerd"), "--config=" + filepath.Join(dir, "containerd.toml"),
			}},
			{Name: "kubelet", Needs: []string{"unix:" + containerdSocket(h.Name)}, Args: []string{
				kubernetes("kubelet"), "--config=" + filepath.Join(dir, "kubelet.yaml"),
				"--kubeconfig=" + filepath.Join(dir, "kubelet.kubeconfig"),
				"--hostname-override=" + h.Name,
				"--node-ip=" + h.ManagementIPv4.String() + "," + h.ManagementIPv6.String(),
				"--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki",
			}},
			{Name: "kube-proxy", Args: []string{
				kubernetes("kube-proxy"), "--kubeconfig=" + filepath.Join(dir, "kube-proxy.kubeconfig"),
				"--hostname-override=" + h.Name, "--proxy-mode=nftables", "--cluster-cidr=" + podCIDR4 + "," + podCIDR6,
				// These are not writable in a network namespace.
				"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
			}},
		},
	}
}

// registerNodes creates the Node objects, with the pod subnets that the routes between the nodes are made for; left to
// itself the controller manager would give them out in the order of arrival.
func registerNodes(ctx context.Context, a *api, hosts []Host) error {
	type object = map[string]any
	for _, h := range hosts {
		if h.Role != RoleNode {
			continue
		}
		node := object{
			"apiVersion": "v1", "kind": "Node",
			"metadata": object{"name": h.Name, "labels": object{"kubernetes.io/hostname": h.Name}},
			"spec":     object{"podCIDR": h.PodCIDRs[0].String(), "podCIDRs": h.PodCIDRs},
		}
		if err := a.create(ctx, "/api/v1/nodes", node); err != nil && !errors.Is(err, errConflict) {
			return fmt.Errorf("creating node %s: %w", h.Name, err)
		}
	}
	return nil
}

// waitNodes returns when all named nodes are Ready, telling of each.
func waitNodes(ctx context.Context, a *api, p *progress, names []string) error {
	told := map[string]bool{}
	err := poll(ctx, func() error {
		ready, err := a.readyNodes(ctx)
		if err != nil {
			return err
		}
		var missing []string
		for _, n := range names {
			switch {
			case !ready[n]:
				missing = append(missing, n)
			case !told[n]:
				told[n] = true
				p.step("%s is Ready", n)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("not Ready: %s", strings.Join(missing, ", "))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the nodes (logs: %s): %w", filepath.Join(StateDir, "NODE", "logs"), err)
	}
	return nil
}
