// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one running process, seen from outside.
type process struct {
	pid  int
	args []string
}

// processesIn lists the processes that stand in one of the named network namespaces, this one excepted.
func processesIn(namespaces ...string) ([]process, error) {
	inodes := map[uint64]bool{}
	for _, ns := range namespaces {
		var st syscall.Stat_t
		if err := syscall.Stat(namespacePath(ns), &st); err != nil {
			if errors.Is(err, syscall.ENOENT) {
				continue
			}
			return nil, fmt.Errorf("looking at network namespace %s: %w", ns, err)
		}
		inodes[st.Ino] = true
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st syscall.Stat_t
		if syscall.Stat(filepath.Join("/proc", e.Name(), "ns/net"), &st) != nil || !inodes[st.Ino] {
			continue // gone, or elsewhere
		}
		cmdline, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		found = append(found, process{pid: pid, args: strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")})
	}
	return found, nil
}

// killIn ends every process in the named network namespaces and returns when none is left.
func killIn(ctx context.Context, namespaces ...string) error {
	for {
		processes, err := processesIn(namespaces...)
		if err != nil || len(processes) == 0 {
			return err
		}
		for _, p := range processes {
			if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("ending process %d (%s): %w", p.pid, strings.Join(p.args, " "), err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d (%s) does not end: %w", processes[0].pid, strings.Join(processes[0].args, " "), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// isAgent says whether a command line is "arpeggio agent", whatever the program's path.
func isAgent(args []string) bool {
	return len(args) >= 2 && filepath.Base(args[0]) == "arpeggio" && slices.Contains(args[1:], "agent")
}

// signalAgent sends a signal to the host's agents; it is an error when there is none.
func signalAgent(h Host, signal syscall.Signal) error {
	return signalThose(h, signal, "arpeggio agent", isAgent)
}

// signalPrograms sends a signal to the programs of those names on the host; it is an error when none runs.
func signalPrograms(h Host, signal syscall.Signal, names ...string) error {
	return signalThose(h, signal, strings.Join(names, " or "), func(args []string) bool {
		return slices.Contains(names, filepath.Base(args[0]))
	})
}

func signalThose(h Host, signal syscall.Signal, what string, which func(args []string) bool) error {
	processes, err := processesIn(h.Namespace)
	if err != nil {
		return err
	}
	found := 0
	for _, p := range processes {
		if !which(p.args) {
			continue
		}
		if err := syscall.Kill(p.pid, signal); errors.Is(err, syscall.ESRCH) {
			continue // it has ended meanwhile, as one does that only asks another how it is
		} else if err != nil {
			return fmt.Errorf("sending %s to process %d (%s) on %s: %w", signal, p.pid, what, h.Name, err)
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("no process %q in network namespace %s", what, h.Namespace)
	}
	return nil
}
