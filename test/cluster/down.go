// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

const downTimeout = time.Minute

// Down ends the cluster and removes everything of it but the cache of programs. It goes by what it finds (the state
// directory, the namespaces' names), not by what was recorded, so it also removes what a crash left behind.
// Nothing to remove is no error.
func Down(ctx context.Context, out io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("taking the lab down needs root")
	}
	unlock, err := lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p := newProgress(out)
	if err := tearDown(ctx, p); err != nil {
		return err
	}
	if err := os.RemoveAll(StateDir); err != nil {
		return fmt.Errorf("removing %s: %w", StateDir, err)
	}
	p.step("down")
	return nil
}

// Down ends this cluster; see the function [Down].
func (c *Cluster) Down(ctx context.Context) error { return Down(ctx, c.report.out) }

// tearDown removes everything but StateDir itself and the lock in it, which the caller holds.
func tearDown(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	pids, err := filepath.Glob(filepath.Join(StateDir, "*", "pid.json"))
	if err != nil {
		return err
	}
	for _, file := range pids {
		if err := machine.Kill(ctx, filepath.Dir(file)); err != nil {
			return fmt.Errorf("ending the machine of %s: %w", filepath.Dir(file), err)
		}
	}
	namespaces, err := ourNamespaces()
	if err != nil {
		return err
	}
	if err := killIn(ctx, namespaces...); err != nil {
		return err
	}
	if len(namespaces) > 0 {
		p.step("removing %d network namespaces", len(namespaces))
	}
	if _, err := os.Stat("/sys/class/net/" + rootInterface); err == nil {
		if _, err := run(ctx, "ip", "link", "delete", rootInterface); err != nil {
			return err
		}
	}
	for _, ns := range namespaces {
		if err := deleteNamespace(ctx, ns); err != nil {
			return err
		}
	}
	if err := unmountBelow(StateDir); err != nil {
		return err
	}
	if err := removeCgroups(cgroupRoot); err != nil {
		return err
	}
	entries, err := os.ReadDir(StateDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "lock" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(StateDir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// unmountBelow unmounts what is mounted below dir, innermost first. The machines mount in namespaces of their own, so
// there is normally nothing; removing files through a mount would remove someone else's.
func unmountBelow(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	points, err := mountPoints(f, dir)
	if err != nil {
		return err
	}
	for _, point := range slices.Backward(points) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	return nil
}

// mountPoints reads the mount points below dir from a mountinfo file (proc_pid_mountinfo(5)), in order of mounting.
func mountPoints(mountinfo io.Reader, dir string) ([]string, error) {
	var points []string
	lines := bufio.NewScanner(mountinfo)
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points, lines.Err()
}
