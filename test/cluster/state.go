// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

// StateDir holds everything of a running cluster but its programs: keys, configuration, data, logs.
const StateDir = "/var/lib/arpeggio-lab"

// ErrNotRunning is returned where a running cluster is needed and none is up.
var ErrNotRunning = errors.New("the lab is not up")

// Cluster is a cluster that is up. It holds nothing open; its methods may be used side by side.
type Cluster struct {
	state  state
	hosts  []Host
	report *progress
}

// state is what is recorded of a cluster.
type state struct {
	Nodes    int      `json:"nodes"`
	Clients  int      `json:"clients"`
	LANs     int      `json:"lans"`
	Fabric   Fabric   `json:"fabric"`
	Binaries Binaries `json:"binaries"`
	// Complete is false until the cluster was up once: what is not complete is torn down rather than mended.
	Complete bool `json:"complete"`
	// Owner is the process that the cluster is for; nil when it is for whoever uses it.
	Owner *machine.Identity `json:"owner,omitempty"`
}

// abandoned says whether the cluster was for a process that has ended.
func (s state) abandoned() bool {
	if s.Owner == nil {
		return false
	}
	alive, err := s.Owner.Alive()
	return err == nil && !alive
}

// othersOwn says whether the cluster is for another process, which still runs.
func (s state) othersOwn() bool {
	return s.Owner != nil && s.Owner.PID != os.Getpid() && !s.abandoned()
}

func stateFile() string                { return filepath.Join(StateDir, "state.json") }
func pkiDir() string                   { return filepath.Join(StateDir, "pki") }
func hostDir(name string) string       { return filepath.Join(StateDir, name) }
func kubeconfigFile() string           { return filepath.Join(StateDir, "kubeconfig") }
func containerdSocket(n string) string { return filepath.Join(hostDir(n), "containerd.sock") }

// readState gives the recorded state, or ErrNotRunning.
func readState() (state, error) {
	b, err := os.ReadFile(stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, ErrNotRunning
	} else if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("parsing %s: %w", stateFile(), err)
	}
	return s, nil
}

func (s state) write() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	unfinished := stateFile() + ".new"
	if err := os.WriteFile(unfinished, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, stateFile())
}

// lock keeps other processes from changing the cluster until the function it returns is called. The lock file lies in
// StateDir, which the holder may remove.
func lock(ctx context.Context) (unlock func(), err error) {
	file := filepath.Join(StateDir, "lock")
	for {
		if err := os.MkdirAll(StateDir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed in between
		} else if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, file) {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", file, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another process that changes the lab (holder of %s): %w", file, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// sameFile says whether the open file is still the one at path.
func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
