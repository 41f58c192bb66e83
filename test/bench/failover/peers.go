// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// peerHosts are the two hosts of the LAN on which keepalived runs, the master first.
var peerHosts = []string{"client2", "client3"}

// The addresses that keepalived speaks for, outside the pool: with an advertisement each second, as it is shipped, and
// ten a second.
var (
	slowVIPs = []netip.Addr{netip.MustParseAddr("192.168.77.240"), netip.MustParseAddr("fd00:77::240")}
	fastVIPs = []netip.Addr{netip.MustParseAddr("192.168.77.241"), netip.MustParseAddr("fd00:77::241")}
)

// peers is keepalived on two hosts.
type peers struct {
	lab   *cluster.Cluster
	dir   string
	first string
	procs []*exec.Cmd
	// lasted is how long a fault was looked at in the last round.
	lasted map[string]time.Duration
}

// keepalivedConfig is keepalived's configuration; only what must be said differs from what it does by itself.
func keepalivedConfig(name string, priority int) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "global_defs {\n  router_id %s\n}\n", name)
	instance := func(name string, id int, interval string, vip netip.Addr) {
		// Without its own version, an instance of IPv4 speaks VRRP version 2, which knows whole seconds only.
		version := ""
		if interval != "1" {
			version = "  version 3\n"
		}
		fmt.Fprintf(&b, "vrrp_instance %s {\n  state BACKUP\n  interface eth0\n%s  virtual_router_id %d\n  priority %d\n  advert_int %s\n  virtual_ipaddress {\n    %s\n  }\n}\n",
			name, version, id, priority, interval, netip.PrefixFrom(vip, bits(vip)))
	}
	instance("slow4", 51, "1", slowVIPs[0])
	instance("slow6", 52, "1", slowVIPs[1])
	instance("fast4", 53, "0.1", fastVIPs[0])
	instance("fast6", 54, "0.1", fastVIPs[1])
	return b.String()
}

func bits(a netip.Addr) int {
	if a.Is4() {
		return cluster.LAN4.Bits()
	}
	return cluster.LAN6.Bits()
}

// start starts keepalived, and what answers requests, on both hosts, which are as new.
func (p *peers) start(ctx context.Context) error {
	p.stop()
	for i, host := range peerHosts {
		if err := p.lab.Fault(ctx, host, cluster.Restore); err != nil {
			return err
		}
		file := filepath.Join(p.dir, host+".conf")
		if err := os.WriteFile(file, []byte(keepalivedConfig(host, 150-50*i)), 0o600); err != nil {
			return err
		}
		pid := func(name string) string { return filepath.Join(p.dir, host+"."+name+".pid") }
		echo := p.lab.Command(ctx, host, filepath.Join(p.lab.Binaries().Programs, "echo"))
		echo.Env = append(os.Environ(), fmt.Sprintf("PORT=%d", servicePort), "POD_NAME="+host,
			fmt.Sprintf("LISTEN=%s,%s,%s,%s", slowVIPs[0], slowVIPs[1], fastVIPs[0], fastVIPs[1]))
		daemon := p.lab.Command(ctx, host, "keepalived", "--dont-fork", "--vrrp", "--log-console", "--use-file="+file, "--pid="+pid("main"), "--vrrp_pid="+pid("vrrp"))
		log, err := os.Create(filepath.Join(p.dir, host+".log"))
		if err != nil {
			return err
		}
		daemon.Stdout, daemon.Stderr = log, log
		for _, cmd := range []*exec.Cmd{echo, daemon} {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				return errors.Join(err, log.Close())
			}
			p.procs = append(p.procs, cmd)
		}
		if err := log.Close(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends what start started; what a fault has ended already is no error.
func (p *peers) stop() {
	for _, cmd := range p.procs {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
	p.procs = nil
}

// signal sends a signal to the master's keepalived, all of its processes.
func (p *peers) signal(s syscall.Signal) error {
	return syscall.Kill(-p.procs[1].Process.Pid, s)
}

// pause stops the master for a while.
func (p *peers) pause(ctx context.Context, d time.Duration) error {
	return errors.Join(p.signal(syscall.SIGSTOP), sleep(ctx, d), p.signal(syscall.SIGCONT))
}

// round does to keepalived once what a fault does to Arpeggio.
func (p *peers) round(ctx context.Context, f fault) (fast, slow round, err error) {
	if err := p.start(ctx); err != nil {
		return round{}, round{}, err
	}
	defer p.stop()
	all := append(append([]netip.Addr{}, slowVIPs...), fastVIPs...)
	w, err := look(ctx, p.lab, all, false)
	if err != nil {
		return round{}, round{}, err
	}
	// The first becomes master after some three advertisements.
	began := time.Now()
	err = w.untilWell(ctx, began, 5*time.Second, 15*time.Second)
	if master, ok := p.lab.HostByMAC(w.speaker(slowVIPs[0])); err == nil && (!ok || master.Name != p.first) {
		err = fmt.Errorf("keepalived on %s does not become master (%q speaks); log: %s", p.first, master.Name, filepath.Join(p.dir, p.first+".log"))
	}
	calm := time.Now()
	err = errors.Join(err, sleep(ctx, min(max(5*time.Second, p.lasted[f.name]), longestCalm)))
	mark := time.Now()
	if err == nil {
		err = errors.Join(f.peer(ctx, p), w.untilWell(ctx, mark, max(f.during, 5*time.Second), atMost))
	}
	p.lasted[f.name] = time.Since(mark)
	sights, ending := w.endAfter(calm, mark)
	if err := errors.Join(err, ending); err != nil {
		return round{}, round{}, err
	}
	pick := func(addrs []netip.Addr) round {
		return merge(map[netip.Addr]sight{addrs[0]: sights[addrs[0]], addrs[1]: sights[addrs[1]]})
	}
	return pick(fastVIPs), pick(slowVIPs), nil
}
