// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// portEnv has the process run a port for that many VIPs of each family.
const portEnv = "ARPEGGIO_BENCH_PORT"

// The commands that a port's process reads, one a line. Each is answered by one line.
const (
	cmdStats    = "stats"    // a status
	cmdUnfilter = "unfilter" // takes the filters of its sockets off
	cmdAnnounce = "announce" // announces announced VIPs; when it began, by the wall clock in nanoseconds
)

// announced is how many VIPs are announced at once.
const announced = 1000

// status is what a port's process tells of itself.
type status struct {
	Mallocs           uint64
	CPU               time.Duration // user and system, since it began
	RSS               int           // KiB
	Replies, Requests uint64
	Frames, Overflows uint64
}

// servePort runs a port on eth0 of this namespace, as the agent does, and obeys until its input ends.
func servePort(vips string) error {
	n, err := strconv.Atoi(vips)
	if err != nil {
		return err
	}
	snapshot, err := link.Read()
	if err != nil {
		return err
	}
	eth0, ok := snapshot.Find("eth0")
	if !ok {
		return fmt.Errorf("no eth0")
	}
	pulse, heard := &wire.Pulse{}, make(chan wire.Heard, 4096)
	port, err := wire.New(wire.Config{Interface: "eth0", Pulse: pulse, Heard: heard})
	if err != nil {
		return err
	}
	var es []neighbor.Entry
	for _, f := range families {
		for _, addr := range some(f.vip, n) {
			es = append(es, neighbor.Entry{Addr: addr, Voice: true, Standing: neighbor.StandingLease})
		}
	}
	self := neighbor.Self{MAC: eth0.MAC, IPv4: eth0.IPv4, LinkLocal: eth0.LinkLocal}
	port.SetTable(neighbor.NewTable(self, es))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go tick(ctx, pulse, heard)
	go func() { _ = port.Run(ctx) }()
	for !port.Ready() || port.Counters().Groups < uint64(n) || port.Counters().Filters < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	debug.FreeOSMemory()
	fmt.Println("ready")
	return obey(port)
}

// tick is the control loop: it ticks and hears.
func tick(ctx context.Context, pulse *wire.Pulse, heard <-chan wire.Heard) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		pulse.Tick(wire.Boottime())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-heard:
		}
	}
}

func obey(port *wire.Port) error {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case cmdStats:
			if err := json.NewEncoder(os.Stdout).Encode(readStatus(port)); err != nil {
				return err
			}
		case cmdUnfilter:
			fmt.Println(unfilter())
		case cmdAnnounce:
			addrs, at := some(families[0].vip, announced), time.Now()
			port.Announce(addrs...)
			fmt.Println(at.UnixNano())
		}
	}
	return nil
}

func readStatus(port *wire.Port) status {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	c := port.Counters()
	s := status{
		Mallocs: m.Mallocs, CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()),
		Replies: c.Replies, Requests: c.Requests, Frames: c.Frames, Overflows: c.Overflows,
	}
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(v, &s.RSS)
		}
	}
	return s
}

// unfilter takes the filters off this process's packet sockets, and gives their number.
func unfilter() (n int) {
	for fd := range 64 {
		if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_PACKET {
			continue
		}
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) == nil {
			n++
		}
	}
	return n
}

// announcement gives the VIP that an announcement of ARP is about.
func announcement(frame []byte) (addr netip.Addr, ok bool) {
	if len(frame) < 42 || [4]byte(frame[28:32]) != [4]byte(frame[38:42]) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(frame[28:32])), true
}
