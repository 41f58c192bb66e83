// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace.
type namespace string

func newNamespace(ctx context.Context, name string) (namespace, error) {
	n := namespace(fmt.Sprintf("awb%d-%s", os.Getpid(), name))
	if err := ip(ctx, "netns", "add", string(n)); err != nil {
		return "", err
	}
	return n, n.ip(ctx, "link set lo up")
}

func (n namespace) remove() error {
	return ip(context.Background(), "netns", "del", string(n))
}

func (n namespace) ip(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if err := ip(ctx, append([]string{"-n", string(n)}, strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	return nil
}

func (n namespace) sysctl(ctx context.Context, settings ...string) error {
	return ip(ctx, append([]string{"netns", "exec", string(n), "sysctl", "-q", "-w"}, settings...)...)
}

// in runs f on a thread in the namespace, which ends with it.
func (n namespace) in(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := os.Open(filepath.Join("/run/netns", string(n)))
		if err != nil {
			result <- err
			return
		}
		err = errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

func ip(ctx context.Context, args ...string) error {
	// #nosec G204 -- the arguments are the bench's own
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
