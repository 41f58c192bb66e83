// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{[]string{"agent", "--kubeconfig", file + ".none", "--node-name", "n1"}, "--kubeconfig"},
		{[]string{"agent", "--node-name", "n1", "more"}, "more"},
		{[]string{"manager", "--kubeconfig", file, "--namespace", ""}, "--namespace"},
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
