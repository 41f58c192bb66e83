// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// Command gives a command that will run in the named host's network namespace, and in the surrounding machine's file
// system and processes. A host that does not exist is an error of the command's start.
func (c *Cluster) Command(ctx context.Context, host, name string, args ...string) *exec.Cmd {
	h, err := c.Host(host)
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + namespacePath(h.Namespace), "--", name}, args...)...)
	if err != nil {
		cmd.Err = err
	}
	return cmd
}

// Kubectl gives a kubectl command with the administrator's rights.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.state.Binaries.Kubernetes, "kubectl"), args...)
	// No proxy of the surrounding network reaches the lab.
	noProxy := os.Getenv("NO_PROXY") + "," + c.hosts[0].ManagementIPv4.String()
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfigFile(), "NO_PROXY="+noProxy, "no_proxy="+noProxy)
	return cmd
}
