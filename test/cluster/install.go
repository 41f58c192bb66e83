// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// SystemNamespace is where the project installs itself.
	SystemNamespace = "arpeggio-system"
	installTimeout  = 2 * time.Minute
)

// Install applies dist/install.yaml of the source tree, as a user would, and returns when the manager and the agents
// are ready. When they do not get ready within two minutes, the error carries pods, Events and logs.
func (c *Cluster) Install(ctx context.Context) error {
	root, err := SourceRoot()
	if err != nil {
		return err
	}
	manifest := filepath.Join(root, "dist", "install.yaml")
	if _, err := os.Stat(manifest); err != nil {
		return fmt.Errorf("%w: generate it first (make manifests)", err)
	}
	out, err := c.kubectl(ctx, "apply", "--server-side=false", "-f", manifest)
	if err != nil {
		return err
	}
	c.report.step("applied %s: %d objects", manifest, strings.Count(out, "\n"))
	deadline := time.Now().Add(installTimeout)
	waiting, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for _, workload := range []string{"deployment/arpeggio-manager", "daemonset/arpeggio-agent"} {
		// The manager makes the DaemonSet, so it is not there at first.
		err := poll(waiting, func() error {
			_, err := c.kubectl(waiting, "-n", SystemNamespace, "get", workload)
			return err
		})
		if err == nil {
			err = c.rollout(ctx, workload, deadline)
		}
		if err != nil {
			return fmt.Errorf("%s does not get ready: %w\n%s", workload, err, c.evidence(ctx))
		}
		c.report.step("%s is ready", workload)
	}
	return nil
}

// rollout waits for a workload until the deadline; the error says how far it came.
func (c *Cluster) rollout(ctx context.Context, workload string, deadline time.Time) error {
	timeout := fmt.Sprintf("--timeout=%ds", max(1, int(time.Until(deadline).Seconds())))
	out, err := c.kubectl(ctx, "-n", SystemNamespace, "rollout", "status", workload, timeout)
	if err != nil {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return fmt.Errorf("%s: %w", lines[len(lines)-1], err)
	}
	return nil
}

// evidence gathers what one would look at first when the installation does not come up.
func (c *Cluster) evidence(ctx context.Context) string {
	var b strings.Builder
	for _, args := range [][]string{
		{"get", "pods", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "--prefix", "--tail=40", "--ignore-errors", "-l", "app.kubernetes.io/name=arpeggio", "--all-containers"},
		{"logs", "--prefix", "--tail=40", "--ignore-errors", "deployment/arpeggio-manager", "--all-pods"},
	} {
		out, err := c.kubectl(ctx, append([]string{"-n", SystemNamespace}, args...)...)
		fmt.Fprintf(&b, "--- kubectl %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
	}
	return b.String()
}

// kubectl runs kubectl to its end and gives its standard output.
func (c *Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := c.Kubectl(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), errors.Join(fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err), errors.New(strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), nil
}
