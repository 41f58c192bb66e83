// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Start starts the machine whose spec is in dir, with initProgram as its first process, and returns when that runs.
// A machine that is alive is left alone. The machine outlives its starter.
func Start(dir, initProgram string) error {
	if alive, err := Alive(dir); err != nil || alive {
		return err
	}
	spec, err := Read(dir)
	if err != nil {
		return fmt.Errorf("reading the machine's spec: %w", err)
	}
	log, err := os.OpenFile(spec.LogFile("init"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	// nsenter execs its command, so the process cloned here, the first of its PID namespace, becomes initProgram.
	// (Not "ip netns exec": that mounts a new /sys, which hides the cgroup mounts.)
	cmd := exec.Command("nsenter", "--net="+spec.NetworkNamespace, "--", initProgram, dir) //nolint:noctx // the machine outlives this process
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", initProgram, err)
	}
	// Reap it if it ends before its starter does; Alive counts a zombie as dead.
	go func() { _ = cmd.Wait() }()
	id, err := Identify(cmd.Process.Pid)
	if err == nil {
		err = writeJSON(pidFile(dir), id)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("recording the machine's process: %w", err)
	}
	return nil
}

// PID is the machine's first process as seen from outside, 0 when the machine is not alive.
func PID(dir string) (int, error) {
	var id Identity
	if err := readJSON(pidFile(dir), &id); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if alive, err := id.Alive(); err != nil || !alive {
		return 0, err
	}
	return id.PID, nil
}

// Alive says whether the machine's first process runs.
func Alive(dir string) (bool, error) {
	pid, err := PID(dir)
	return pid != 0, err
}

// Kill ends the machine with SIGKILL and returns when none of its processes is left. A dead machine is no error.
func Kill(ctx context.Context, dir string) error {
	pid, err := PID(dir)
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	// The kernel lets the first process of a PID namespace go only after it has killed all others.
	for {
		if alive, err := Alive(dir); err != nil || !alive {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d does not end: %w", pid, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
