// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMountPoints(t *testing.T) {
	const mountinfo = `22 28 0:21 / /proc rw shared:12 - proc proc rw
60 28 254:0 / /lab rw - ext4 /dev/vda rw
61 60 0:50 / /lab/node1/with\040space rw - tmpfs tmpfs rw
62 60 0:51 / /lab/node1/with\040space/below rw - tmpfs tmpfs rw
63 28 0:52 / /laboratory rw - tmpfs tmpfs rw
`
	got, err := mountPoints(strings.NewReader(mountinfo), "/lab")
	want := []string{"/lab/node1/with space", "/lab/node1/with space/below"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestRemoveTree(t *testing.T) {
	root := filepath.Join(t.TempDir(), "group")
	if err := removeTree(root); err != nil {
		t.Errorf("a group that is not there: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestIsAgent(t *testing.T) {
	for line, want := range map[string]bool{
		"/arpeggio agent --node-name node1":     true,
		"arpeggio --kubeconfig f agent":         true,
		"/arpeggio manager --agent-image=agent": false,
		"arpeggio":                              false,
		"vim agent":                             false,
		"":                                      false,
	} {
		if got := isAgent(strings.Fields(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func TestFaultsAreKnownByName(t *testing.T) {
	want := "kill-agent, pause-agent, resume-agent, cut-api, heal-api, crash, restore, cut-lan, mute-lan, deaf-lan, no-broadcast, heal-lan, link-down, link-up"
	if got := join(NodeFaults()); got != want {
		t.Errorf("faults of a node: %s, want %s", got, want)
	}
	c := newCluster(state{Nodes: 1, Clients: 1}, newProgress(nil))
	for host, f := range map[string]Fault{"node1": Stop, ControlPlane: Crash, "client1": KillAgent, Gateway: Crash, "node2": Crash} {
		if err := c.Fault(t.Context(), host, f); err == nil {
			t.Errorf("fault %s of %s: no error", f, host)
		}
	}
}

func TestOnlyTwoHostsOfTheLANAreSeparated(t *testing.T) {
	c := newCluster(state{Nodes: 2, Clients: 1}, newProgress(nil))
	for _, pair := range [][2]string{{"node1", "node1"}, {"node1", ControlPlane}, {"node1", "nobody"}} {
		if err := c.Separate(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("separating %v: no error", pair)
		}
	}
}

func TestCommandOfAnUnknownHostDoesNotStart(t *testing.T) {
	c := newCluster(state{Nodes: 1, Clients: 1}, newProgress(nil))
	if err := c.Command(t.Context(), "nobody", "true").Run(); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("%v, want an error that names the host", err)
	}
}
