// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// restartDelay is how long an ended process rests before it is started again, as systemd's Restart=always does.
const restartDelay = time.Second

// inside is an environment variable that tells a first process that it already stands in its control groups.
const inside = "LAB_INIT_INSIDE"

// Run is the first process of the machine whose spec is in dir. It does not return while ctx lives, except on errors of
// its own setting up. When it ends, the kernel kills the rest of the machine.
func Run(ctx context.Context, dir string) error {
	if os.Getpid() != 1 {
		return errors.New("not the first process of a PID namespace")
	}
	spec, err := Read(dir)
	if err != nil {
		return err
	}
	if os.Getenv(inside) == "" {
		return enterCgroups(spec)
	}
	if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("setting the hostname: %w", err)
	}
	if err := mountAll(spec); err != nil {
		return err
	}
	if err := mountCgroups(spec.Cgroup); err != nil {
		return err
	}
	ended := make(chan int)
	r := runner{spec: spec, running: map[int]Process{}}
	r.pending = append(r.pending, spec.Processes...)
	go reap(ended)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		r.startPending(ctx)
		select {
		case <-ctx.Done():
			return nil
		case pid := <-ended:
			r.ended(pid)
		case <-tick.C:
		}
	}
}

// enterCgroups moves this process into the machine's control groups and makes them the roots of a new cgroup
// namespace. That belongs to one thread, so this thread starts the program again, which leaves no other.
func enterCgroups(spec Spec) error {
	if err := joinCgroup(spec.Cgroup); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	return fmt.Errorf("starting again: %w", syscall.Exec(os.Args[0], os.Args, append(os.Environ(), inside+"=yes")))
}

// runner starts what is pending and remembers what runs. One goroutine owns it.
type runner struct {
	spec    Spec
	pending []Process
	running map[int]Process
	resting map[string]time.Time // until when
}

func (r *runner) startPending(ctx context.Context) {
	var later []Process
	for _, p := range r.pending {
		if time.Now().Before(r.resting[p.Name]) || !available(ctx, p.Needs) {
			later = append(later, p)
			continue
		}
		pid, err := r.start(p)
		if err != nil {
			report("%s: %v", p.Name, err)
			r.rest(p)
			later = append(later, p)
			continue
		}
		report("%s: started, pid %d", p.Name, pid)
		r.running[pid] = p
	}
	r.pending = later
}

func (r *runner) start(p Process) (int, error) {
	log, err := os.OpenFile(r.spec.LogFile(p.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(p.Args[0], p.Args[1:]...) //nolint:noctx // it outlives this function: reap waits for it
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + p.Path + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil // waited for by reap
}

func (r *runner) ended(pid int) {
	p, ours := r.running[pid]
	if !ours {
		return // an orphan that came to the first process
	}
	report("%s: pid %d ended; starting again", p.Name, pid)
	delete(r.running, pid)
	r.rest(p)
	r.pending = append(r.pending, p)
}

func (r *runner) rest(p Process) {
	if r.resting == nil {
		r.resting = map[string]time.Time{}
	}
	r.resting[p.Name] = time.Now().Add(restartDelay)
}

// reap waits for every child, started here or orphaned, and passes its pid on.
func reap(ended chan<- int) {
	for {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // ECHILD: nothing runs yet
			time.Sleep(50 * time.Millisecond)
		default:
			ended <- pid
		}
	}
}

// mountAll makes the machine's own view of the file system: its own /proc, /run and /tmp, and directories of its own in
// place of /var/lib and /var/log, so that nothing it writes lands in the surrounding machine's.
func mountAll(spec Spec) error {
	varLib, varLog := filepath.Join(spec.Dir, "var", "lib"), filepath.Join(spec.Dir, "var", "log")
	var window string // where Shared is seen from inside varLib
	if rel, err := filepath.Rel("/var/lib", spec.Shared); err == nil && !strings.HasPrefix(rel, "..") {
		window = filepath.Join(varLib, rel)
	}
	for _, dir := range []string{varLib, varLog, window} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	type mount struct {
		source, target, fstype string
		flags                  uintptr
	}
	mounts := []mount{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
	}
	if window != "" {
		mounts = append(mounts, mount{spec.Shared, window, "", syscall.MS_BIND})
	}
	mounts = append(mounts,
		mount{varLib, "/var/lib", "", syscall.MS_BIND | syscall.MS_REC},
		mount{varLog, "/var/log", "", syscall.MS_BIND},
		mount{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV},
		mount{"tmpfs", "/tmp", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV},
		// kubelet and containerd expect mounts to propagate between them and into containers that ask for it.
		mount{"", "/", "", syscall.MS_REC | syscall.MS_SHARED},
	)
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.fstype, m.flags, ""); err != nil {
			return fmt.Errorf("mounting %q on %s: %w", m.source, m.target, err)
		}
	}
	return hideResolver(spec)
}

// hideResolver gives the machine an empty /etc/resolv.conf: no name server is within reach, and so lookups fail at once.
// Where the file is a link into /run, it leads nowhere by now, which is as good.
func hideResolver(spec Spec) error {
	empty := filepath.Join(spec.Dir, ResolvConf)
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		return err
	}
	err := syscall.Mount(empty, "/etc/resolv.conf", "", syscall.MS_BIND, "")
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("mounting an empty /etc/resolv.conf: %w", err)
	}
	return nil
}

func report(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.RFC3339Nano), fmt.Sprintf(format, args...))
}
