// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/health"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`

// Wrong use is told in words, with the flag's name, before anything is done.
func TestWrongUse(t *testing.T) {
	t.Setenv("POD_UID", "")
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"agent", "--kubeconfig", file}, "--node-name"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "Node_1"}, "--node-name"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--namespace", ""}, "--namespace"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--health-bind-address", "9809"}, "--health-bind-address"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--state-dir", "state"}, "--state-dir"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--kube-proxy-health-url", "127.0.0.1:10256"}, "--kube-proxy-health-url"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--kube-proxy-health-url", "https://127.0.0.1/healthz"}, "--kube-proxy-health-url"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--node-ips", "192.168.1.7,"}, "--node-ips"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--pod-uid", strings.Repeat("x", 65)}, "--pod-uid"},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--mark-key-file", file}, "--mark-key-file " + file},
		{[]string{"agent", "--kubeconfig", file, "--node-name", "n1", "--mark-key-file", file + ".none"}, "--mark-key-file"},
		{[]string{"agent", "health"}, "--pod-uid"},
		{[]string{"agent", "health", "--pod-uid", "nobody"}, "does not listen"},
		{[]string{"agent", "--kubeconfig", file + ".none", "--node-name", "n1"}, "--kubeconfig"},
		{[]string{"agent", "--node-name", "n1", "more"}, "more"},
		{[]string{"manager", "--kubeconfig", file, "--namespace", ""}, "--namespace"},
		{[]string{"manager", "--kubeconfig", file, "--agent-metrics-bind-address", ":9810"}, "--agent-metrics-bind-address \":9810\": it is no address and port: write 0.0.0.0:9810"},
		{[]string{"manager", "--kubeconfig", file, "--agent-metrics-bind-address", "192.168.1.7:9810"}, "--agent-metrics-bind-address"},
		{[]string{"manager", "--no-such-flag"}, "--no-such-flag"},
		{[]string{"speaker"}, "speaker"},
	} {
		t.Run(strings.Join(tt.args[:1], " ")+" "+tt.want, func(t *testing.T) {
			c := command()
			c.SetArgs(tt.args)
			c.SetOut(t.Output())
			c.SetErr(t.Output())
			if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: got %v, want a word of %s", tt.args, err, tt.want)
			}
		})
	}
}

// Watches notice a dead connection in five seconds, unless the user says otherwise.
func TestNoticeDeadConnections(t *testing.T) {
	const idle, ping = "HTTP2_READ_IDLE_TIMEOUT_SECONDS", "HTTP2_PING_TIMEOUT_SECONDS"
	t.Setenv(idle, "")
	t.Setenv(ping, "7")
	if err := noticeDeadConnections(); err != nil {
		t.Fatal(err)
	}
	if got := os.Getenv(idle); got != "3" {
		t.Errorf("%s=%s", idle, got)
	}
	if got := os.Getenv(ping); got != "7" {
		t.Errorf("%s=%s, the user's value is gone", ping, got)
	}
}

// A probe of the kubelet finds the pod's UID in the environment.
func TestHealthFromEnvironment(t *testing.T) {
	t.Setenv("POD_UID", "some-pod")
	asked := make(chan string, 1)
	s := &health.Server{
		Incarnation: "some-pod",
		Live:        func() error { asked <- "live"; return nil },
		Ready:       func() error { asked <- "ready"; return errors.New("no list has come yet") },
	}
	go s.Run(t.Context())
	for _, tt := range []struct{ want, says string }{{"live", ""}, {"ready", "no list has come yet"}} {
		var err error
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			args := []string{"agent", "health"}
			if tt.want == "ready" {
				args = append(args, "--ready")
			}
			c := command()
			c.SetArgs(args)
			if err = c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "does not listen") {
				break
			}
		}
		if got := <-asked; got != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("asked %s, want %s: %v", got, tt.want, err)
		}
	}
}
