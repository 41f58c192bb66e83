// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const netRaw = 1 << unix.CAP_NET_RAW

// install: what one "kubectl apply" brought runs with the least that it needs.
func (w *world) install(t *testing.T) {
	agents, managers := programs(t, "agent"), programs(t, "manager")
	var nodes []string
	for _, p := range agents {
		nodes = append(nodes, p.host)
		if got := p.status(t, "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"); !slices.Equal(got, []uint64{netRaw, netRaw, 0, 0, 0}) {
			t.Errorf("agent on %s: bounding, permitted, effective, inheritable, ambient capabilities %x; want NET_RAW bounding and permitted, and none effective while idle", p.host, got)
		}
	}
	if slices.Sort(nodes); !slices.Equal(nodes, []string{"node1", "node2", "node3"}) {
		t.Errorf("agents in the networks of %q, want one in that of each node", nodes)
	}
	if len(managers) != 2 {
		t.Errorf("%d managers run, want 2", len(managers))
	}
	for _, p := range managers {
		if p.host != "" {
			t.Errorf("a manager is in the network of %s", p.host)
		}
		if got := p.status(t, "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"); slices.Max(got) != 0 {
			t.Errorf("manager: capabilities %x, want none", got)
		}
	}
	for _, p := range append(agents, managers...) {
		if got := p.status(t, "NoNewPrivs", "Seccomp"); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("process %d: no_new_privs and seccomp %d, want 1 and 2 (filter)", p.pid, got)
		}
		if !p.unprivileged(t) {
			t.Errorf("process %d runs as root", p.pid)
		}
		if options := p.rootMount(t); !slices.Contains(strings.Split(options, ","), "ro") {
			t.Errorf("process %d: root is mounted %s, want read-only", p.pid, options)
		}
	}
	if got := w.imageCapability(t); got != netRaw {
		t.Errorf("the image's program has the file capabilities %x, want NET_RAW", got)
	}
}

// program is a process of Arpeggio in the cluster.
type program struct {
	pid  int
	host string // in whose network it is; empty: in a pod's
}

// programs finds the processes that run "arpeggio PART".
func programs(t *testing.T, part string) []program {
	t.Helper()
	hosts := map[string]string{}
	const prefix = "arpeggio-lab-"
	spaces, err := filepath.Glob("/run/netns/" + prefix + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range spaces {
		hosts[inode(file)] = strings.TrimPrefix(filepath.Base(file), prefix)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []program
	for _, file := range lines {
		line, err := os.ReadFile(file)
		words := bytes.Split(line, []byte{0})
		if err != nil || len(words) < 2 || filepath.Base(string(words[0])) != "arpeggio" || string(words[1]) != part {
			continue // it ended, or is another
		}
		var p program
		if _, err := fmt.Sscanf(file, "/proc/%d/", &p.pid); err != nil {
			t.Fatal(err)
		}
		p.host = hosts[inode(fmt.Sprintf("/proc/%d/ns/net", p.pid))]
		found = append(found, p)
	}
	return found
}

// inode tells one namespace from another.
func inode(file string) string {
	var s unix.Stat_t
	if err := unix.Stat(file, &s); err != nil {
		return ""
	}
	return fmt.Sprint(s.Dev, "/", s.Ino)
}

// fields reads a line of /proc/PID/status.
func (p program) fields(t *testing.T, key string) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Fields(rest)
		}
	}
	t.Fatalf("/proc/%d/status has no %s", p.pid, key)
	return nil
}

// status reads numbers of /proc/PID/status.
func (p program) status(t *testing.T, keys ...string) []uint64 {
	t.Helper()
	var out []uint64
	for _, key := range keys {
		var n uint64
		if _, err := fmt.Sscanf(p.fields(t, key)[0], "%x", &n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// unprivileged tells whether no user ID of the process is root's. The group may be: it is
// where a cluster chooses the user.
func (p program) unprivileged(t *testing.T) bool {
	t.Helper()
	return !slices.Contains(p.fields(t, "Uid"), "0")
}

// rootMount gives the options of the process's root file system.
func (p program) rootMount(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/" {
			return f[5]
		}
	}
	return ""
}

// imageCapability reads the file capability of the program in the image's layers: the
// permitted set of a struct vfs_cap_data, in its first 32 bits.
func (w *world) imageCapability(t *testing.T) uint32 {
	t.Helper()
	f, err := os.Open(w.image)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("no layer of the image has the program")
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || filepath.Ext(h.Name) != ".tar" {
			continue
		}
		for layer := tar.NewReader(archive); ; {
			h, err := layer.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(h.Name) != "arpeggio" || h.Typeflag != tar.TypeReg {
				continue
			}
			data := []byte(h.PAXRecords["SCHILY.xattr.security.capability"])
			if len(data) < 8 {
				t.Fatalf("the program in the image has no file capability; records %q", h.PAXRecords)
			}
			return binary.LittleEndian.Uint32(data[4:])
		}
	}
}
