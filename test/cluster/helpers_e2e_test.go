// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package cluster_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func apply(t *testing.T, c *cluster.Cluster, manifest string) {
	t.Helper()
	cmd := c.Kubectl(t.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

func (l *life) exec(t *testing.T, host, name string, args ...string) string {
	t.Helper()
	out, err := l.c.Command(t.Context(), host, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s %s: %v\n%s", host, name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (l *life) probe(t *testing.T, host string, config probe.Config, length time.Duration) probe.Report {
	t.Helper()
	p, err := l.c.Probe(t.Context(), host, config)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(length)
	r, err := p.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// eventually waits half a minute for f to give no error.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// traces lists what a lab could leave on the machine: processes of its programs, mounts, namespaces, interfaces,
// control groups, and files where the programs of a node write by default.
func traces(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{
		cluster.StateDir, "/run/netns/*", "/sys/class/net/*", "/sys/fs/cgroup/*/arpeggio-lab", "/sys/fs/cgroup/*/k8s.io", "/sys/fs/cgroup/arpeggio-lab",
		"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/etc/cni", "/opt/cni", "/etc/kubernetes", "/usr/libexec/kubernetes",
		"/run/containerd", "/run/flexvolume", "/run/runc", "/var/log/pods", "/var/log/containers", "/var/run/kubernetes", "/run/cni",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		all = append(all, "mount "+strings.Fields(lines.Text())[4])
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		b, _ := os.ReadFile(file)
		if s := string(b); strings.Contains(s, "/arpeggio/lab/") || strings.Contains(s, cluster.StateDir) {
			all = append(all, "process "+strings.ReplaceAll(s, "\x00", " "))
		}
	}
	slices.Sort(all)
	return all
}

// noTraces says what is there now and was not before.
func noTraces(t *testing.T, before []string) {
	t.Helper()
	// The kernel takes a moment to clear deleted network namespaces.
	eventually(t, func() error {
		left := slices.DeleteFunc(traces(t), func(s string) bool { return slices.Contains(before, s) })
		if len(left) > 0 {
			return leftError(left)
		}
		return nil
	})
}

type leftError []string

func (e leftError) Error() string { return "left behind:\n" + strings.Join(e, "\n") }

// killed: when the command that starts a lab is killed half way, Down finds everything, and so does the next Up.
func killed(t *testing.T, before []string) {
	lab := filepath.Join(t.TempDir(), "lab")
	if out, err := exec.Command("go", "build", "-o", lab, "./lab").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	half := func() {
		t.Helper()
		cmd := exec.Command(lab, "up", "--nodes=2")
		progress, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(progress); lines.Scan() && !strings.Contains(lines.Text(), "control plane is ready"); {
		}
		time.Sleep(500 * time.Millisecond) // into the start of the nodes
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	half()
	if len(traces(t)) == len(before) {
		t.Fatal("nothing was started before the command was killed: this test shows nothing")
	}
	if err := cluster.Down(context.Background(), t.Output()); err != nil {
		t.Fatal(err)
	}
	noTraces(t, before)

	half()
	c, err := cluster.Up(t.Context(), cluster.Options{Nodes: 1, Owned: true, Progress: t.Output()})
	if err != nil {
		t.Fatalf("Up after a killed Up: %v", err)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	noTraces(t, before)
}
