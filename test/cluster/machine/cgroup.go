// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const cgroupMount = "/sys/fs/cgroup"

// hierarchies lists the mounted control group hierarchies: of version 2 the mount itself, of version 1 one directory
// for each controller.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.procs")); err == nil {
		return []string{cgroupMount}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		dir := filepath.Join(cgroupMount, e.Name())
		if !e.IsDir() { // "cpu,cpuacct" has links for each of its parts
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			found = append(found, dir)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no control groups are mounted below " + cgroupMount)
	}
	return found, nil
}

func isVersion2(hierarchy string) bool {
	_, err := os.Stat(filepath.Join(hierarchy, "cgroup.controllers"))
	return err == nil
}

// labWeight is what the group that holds all machines weighs against a single process outside of it:
// without, a client that asks in a hurry gets as much of the processors as four machines.
const labWeight = 8

// weigh gives a group its share of the processors. Hierarchies that share out something else have no such files.
func weigh(dir string, weight int) error {
	for name, one := range map[string]int{"cpu.shares": 1024, "cpu.weight": 100} { // of version 1 and 2
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(weight*one)), 0o644); err != nil {
			return fmt.Errorf("setting %s of control group %s: %w", name, dir, err)
		}
	}
	return nil
}

// joinCgroup moves this process into the named group of every hierarchy.
func joinCgroup(group string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		dir := h
		for depth, part := range strings.Split(strings.Trim(group, "/"), "/") {
			parent := dir
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
			if isVersion2(h) {
				enableControllers(parent)
			} else if err := inheritCPUSet(parent, dir); err != nil {
				return err
			}
			if depth == 0 {
				if err := weigh(dir, labWeight); err != nil {
					return err
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("joining control group %s: %w", dir, err)
		}
	}
	return nil
}

// inheritCPUSet gives a new group of version 1's cpuset its parent's processors and memory, without which it takes no
// process. Elsewhere it does nothing.
func inheritCPUSet(parent, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), value, 0o644); err != nil {
			return fmt.Errorf("setting %s of control group %s: %w", name, dir, err)
		}
	}
	return nil
}

// enableControllers lets the groups below dir use the controllers that dir has (version 2). One that cannot be enabled
// is left alone: containers are then not limited by it.
func enableControllers(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(b)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

// mountCgroups makes the machine's own groups the roots of what it sees. It is called in the machine's cgroup
// namespace, which makes paths in /proc say the same.
func mountCgroups(group string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := syscall.Mount(filepath.Join(h, group), h, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting control group %s: %w", filepath.Join(h, group), err)
		}
		if !isVersion2(h) {
			continue
		}
		// In version 2 a group whose controllers are shared out below it may hold no process itself.
		leaf := filepath.Join(h, "init")
		if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("joining control group %s: %w", leaf, err)
		}
		enableControllers(h)
	}
	return nil
}
