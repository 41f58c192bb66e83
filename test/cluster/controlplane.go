// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

// writePKI makes the authority, every certificate and every kubeconfig of the cluster.
func writePKI(hosts []Host) error {
	a, err := newAuthority(pkiDir())
	if err != nil {
		return err
	}
	if err := a.serviceAccountKeys(); err != nil {
		return err
	}
	control := hosts[0]
	err = a.issue("apiserver", "kube-apiserver", nil, "127.0.0.1", "localhost", serviceAPI,
		control.ManagementIPv4.String(), control.ManagementIPv6.String(),
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	if err := a.issue("kubelet-client", "kube-apiserver-kubelet-client", []string{"system:masters"}); err != nil {
		return err
	}
	outside := fmt.Sprintf("https://%s", netip.AddrPortFrom(control.ManagementIPv4, apiPort))
	inside := fmt.Sprintf("https://127.0.0.1:%d", apiPort)
	type account struct {
		file, name, user, server string
		groups                   []string
	}
	controlConfig := func(name string) string { return filepath.Join(hostDir(ControlPlane), name+".kubeconfig") }
	accounts := []account{
		{kubeconfigFile(), "admin", "kubernetes-admin", outside, []string{"system:masters"}},
		{controlConfig("kube-controller-manager"), "kube-controller-manager", "system:kube-controller-manager", inside, nil},
		{controlConfig("kube-scheduler"), "kube-scheduler", "system:kube-scheduler", inside, nil},
	}
	for _, h := range hosts {
		if h.Role == RoleNode {
			accounts = append(accounts,
				account{filepath.Join(hostDir(h.Name), "kubelet.kubeconfig"), h.Name, "system:node:" + h.Name, outside, []string{"system:nodes"}},
				account{filepath.Join(hostDir(h.Name), "kube-proxy.kubeconfig"), h.Name + "-kube-proxy", "system:kube-proxy", outside, nil})
		}
	}
	for _, u := range accounts {
		if err := os.MkdirAll(filepath.Dir(u.file), 0o755); err != nil {
			return err
		}
		if err := a.issue(u.name, u.user, u.groups); err != nil {
			return err
		}
		if err := a.writeKubeconfig(u.file, u.name, u.server); err != nil {
			return err
		}
	}
	return nil
}

// controlPlaneSpec is the machine that runs etcd and the control plane.
func controlPlaneSpec(h Host, b Binaries) machine.Spec {
	dir := hostDir(h.Name)
	pki := func(name string) string { return filepath.Join(pkiDir(), name) }
	program := func(name string) string { return filepath.Join(b.Kubernetes, name) }
	config := func(name string) string { return filepath.Join(dir, name+".kubeconfig") }
	// Before its first rules are there, the API server would turn these away, and they would end.
	needsAPI := []string{fmt.Sprintf("https://127.0.0.1:%d/readyz", apiPort)}
	return machine.Spec{
		Hostname: h.Name, NetworkNamespace: namespacePath(h.Namespace), Dir: dir, Shared: StateDir, Cgroup: cgroup(h),
		Processes: []machine.Process{
			{Name: "etcd", Args: []string{
				program("etcd"), "--name=lab", "--data-dir=" + filepath.Join(dir, "etcd"),
				// What a machine's crash could lose is no loss here; the process may be killed at any time.
				"--unsafe-no-fsync", "--logger=zap", "--log-level=warn",
				"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
				"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
				"--initial-cluster=lab=http://127.0.0.1:2380",
			}},
			{Name: "kube-apiserver", Needs: []string{"tcp:127.0.0.1:2379"}, Args: []string{
				program("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379",
				"--advertise-address=" + h.ManagementIPv4.String(), fmt.Sprintf("--secure-port=%d", apiPort),
				"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
				"--client-ca-file=" + pki("ca.crt"),
				"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
				// Or logs and exec would look up the nodes' names in DNS.
				"--kubelet-preferred-address-types=InternalIP",
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
				"--service-cluster-ip-range=" + serviceCIDR4 + "," + serviceCIDR6,
				"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
				"--allow-privileged=true", "--profiling=false",
				"--audit-policy-file=" + filepath.Join(dir, auditPolicyFile), "--audit-log-path=" + auditLog(),
				"--audit-log-mode=blocking",
			}},
			{Name: "kube-controller-manager", Needs: needsAPI, Args: []string{
				program("kube-controller-manager"), "--kubeconfig=" + config("kube-controller-manager"),
				"--leader-elect=false", "--use-service-account-credentials",
				"--service-account-private-key-file=" + pki("sa.key"), "--root-ca-file=" + pki("ca.crt"),
				// It makes this directory, by default in the machine's /usr.
				"--flex-volume-plugin-dir=/run/flexvolume",
				"--allocate-node-cidrs", "--cluster-cidr=" + podCIDR4 + "," + podCIDR6,
				"--service-cluster-ip-range=" + serviceCIDR4 + "," + serviceCIDR6,
				"--authentication-kubeconfig=" + config("kube-controller-manager"),
				"--authorization-kubeconfig=" + config("kube-controller-manager"),
			}},
			{Name: "kube-scheduler", Needs: needsAPI, Args: []string{
				program("kube-scheduler"), "--kubeconfig=" + config("kube-scheduler"), "--leader-elect=false",
				"--authentication-kubeconfig=" + config("kube-scheduler"), "--authorization-kubeconfig=" + config("kube-scheduler"),
			}},
		},
	}
}

// startMachine records what a host runs and starts it.
func startMachine(spec machine.Spec, b Binaries) error {
	if err := spec.Write(); err != nil {
		return err
	}
	if err := machine.Start(spec.Dir, filepath.Join(b.Programs, "lab-init")); err != nil {
		return fmt.Errorf("starting %s (log: %s): %w", spec.Hostname, spec.LogFile("init"), err)
	}
	return nil
}

// waitAPI returns when the API server says that it is ready.
func waitAPI(ctx context.Context) error {
	api, err := newAPI()
	if err != nil {
		return err
	}
	err = poll(ctx, func() error { _, err := api.get(ctx, "/readyz"); return err })
	if err != nil {
		return fmt.Errorf("the API server does not get ready (logs: %s): %w", filepath.Join(hostDir(ControlPlane), "logs"), err)
	}
	return nil
}
