// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

var (
	vip4 = netip.MustParseAddr("192.0.2.240")
	vip6 = netip.MustParseAddr("2001:db8::f0:240")
	vips = []netip.Addr{vip4, vip6}
)

// labs counts the segments of this process, for names nobody else has.
var labs atomic.Int32

// lab is a bridge in a namespace of its own.
type lab struct {
	t     *testing.T
	id    string
	bench *host // where the bridge is
	hosts int
}

// newLab makes a bridge that snoops, as switches do.
func newLab(t *testing.T) *lab {
	t.Helper()
	need(t)
	l := &lab{t: t, id: fmt.Sprintf("aw%d-%d", os.Getpid(), labs.Add(1))}
	l.bench = l.namespace("sw")
	// Without a querier a bridge floods whatever group; it believes in its own after one
	// response interval, once it has an address to ask with.
	l.bench.sysctl("net.ipv6.conf.default.accept_dad=0")
	l.bench.ip("link add br0 type bridge mcast_snooping 1 mcast_query_response_interval 10 mcast_startup_query_interval 20")
	l.bench.ip("link set br0 up")
	l.bench.ip("link set br0 type bridge mcast_querier 1")
	return l
}

// need stops a test that cannot run here: in CI that is a failure.
func need(t *testing.T) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, tool := range []string{"ip", "bridge", "arping", "ndisc6", "setcap", "sysctl", "install", "tcpdump", "ping"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = tool + " (Debian: iproute2 iputils-arping iputils-ping ndisc6 libcap2-bin procps tcpdump)"
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test needs %s", missing)
	}
	t.Skipf("this test needs %s", missing)
}

// host is a network namespace. card is the interface by which it takes part in the test,
// mac that of the card.
type host struct {
	t    *testing.T
	ns   string
	card string
	mac  neighbor.MAC
}

func (l *lab) namespace(name string) *host {
	l.t.Helper()
	h := &host{t: l.t, ns: l.id + "-" + name, card: "eth0"}
	command(l.t, "ip", "netns", "add", h.ns)
	l.t.Cleanup(func() { command(l.t, "ip", "netns", "del", h.ns) })
	h.ip("link set lo up")
	return h
}

// host plugs a host into the bridge, with the addresses .n and ::n and a link-local one
// that is usable at once.
func (l *lab) host(name string) *host {
	l.t.Helper()
	h := l.namespace(name)
	l.hosts++
	n := l.hosts
	h.sysctl("net.ipv6.conf.default.accept_dad=0")
	h.ip("link add eth0 type veth peer name " + name + " netns " + l.bench.ns)
	l.bench.ip("link set " + name + " master br0 up")
	h.ip("link set eth0 up")
	h.ip(fmt.Sprintf("addr add 192.0.2.%d/24 dev eth0", n))
	h.ip(fmt.Sprintf("addr add 2001:db8::%d/64 dev eth0 nodad", n))
	h.readMAC()
	return h
}

func (h *host) readMAC() {
	h.t.Helper()
	h.in(func() error {
		ifi, err := net.InterfaceByName(h.card)
		if err == nil {
			h.mac = neighbor.MAC(ifi.HardwareAddr)
		}
		return err
	})
}

// in runs f on a thread in the namespace, which ends with it.
func (h *host) in(f func() error) {
	h.t.Helper()
	result := make(chan error, 1)
	go func() {
		if err := h.enter(); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	if err := <-result; err != nil {
		h.t.Fatalf("in %s: %v", h.ns, err)
	}
}

// enter moves the calling goroutine to a thread in the namespace for good: the thread stays
// locked and ends with the goroutine.
func (h *host) enter() error {
	runtime.LockOSThread()
	ns, err := os.Open(filepath.Join("/run/netns", h.ns))
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
}

func (h *host) ip(args string) string {
	h.t.Helper()
	return command(h.t, "ip", append([]string{"-n", h.ns}, strings.Fields(args)...)...)
}

func (h *host) sysctl(settings ...string) {
	h.t.Helper()
	command(h.t, "ip", append([]string{"netns", "exec", h.ns, "sysctl", "-q", "-w"}, settings...)...)
}

// run runs a command in the namespace and gives its output, whether it fails or not.
func (h *host) run(args ...string) (string, error) {
	return run("ip", append([]string{"netns", "exec", h.ns}, args...)...)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// run runs a command and gives all its output, whether it fails or not.
func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// eventually waits until f is true.
func eventually(t *testing.T, within time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// node is a host with a port whose control loop ticks.
type node struct {
	*host
	*wire.Port
	pulse       *wire.Pulse
	incarnation [8]byte
	heard       chan wire.Heard
	states      chan wire.State
	end         func()       // ends Run, and waits for it
	hung        atomic.Bool  // the loop ticks no more
	stall       atomic.Int64 // nanoseconds by which the next reading of the clock is late
}

// node runs a port on a new host until the end of the test.
func (l *lab) node(name string) *node {
	l.t.Helper()
	n := l.port(l.host(name))
	n.SetTable(n.table(false))
	eventually(l.t, 2*time.Second, n.String()+" is up", n.Ready)
	return n
}

// port runs a port on the host's card, which need not be there yet.
func (l *lab) port(h *host) *node {
	l.t.Helper()
	n := &node{
		host: h, pulse: &wire.Pulse{},
		heard: make(chan wire.Heard, 1000), states: make(chan wire.State, 100),
	}
	copy(n.incarnation[:], strings.TrimPrefix(h.ns, l.id+"-"))
	var err error
	n.Port, err = wire.New(wire.Config{
		Interface: h.card, Pulse: n.pulse, Heard: n.heard,
		Changed: func(s wire.State) { n.states <- s },
		Clock: func() time.Duration {
			time.Sleep(time.Duration(n.stall.Swap(0)))
			return wire.Boottime()
		},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	n.start()
	return n
}

// ahead is by how much the control loop of a test ticks early: on a machine that is busy with
// many tests at once it may come late, and its gate is to be shut by hang alone.
const ahead = time.Second

// hang stops the control loop, and waits until the gate is shut.
func (n *node) hang() {
	n.hung.Store(true)
	time.Sleep(ahead + neighbor.TickLimit + 50*time.Millisecond)
}

func (n *node) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := n.enter()
		if err == nil {
			err = n.Run(ctx)
		}
		done <- err
	}()
	go func() {
		for ctx.Err() == nil {
			if !n.hung.Load() {
				n.pulse.Tick(wire.Boottime() + ahead)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	n.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("%v: %v", n.Port, err)
		}
	})
	n.t.Cleanup(n.end)
}

// table holds the VIPs and others, with or without a voice.
func (n *node) table(voice bool, others ...netip.Addr) *neighbor.Table {
	self := neighbor.Self{MAC: n.mac, Cluster: [8]byte{'t'}, Incarnation: n.incarnation}
	n.in(func() error {
		ifi, err := net.InterfaceByName(n.card)
		if err != nil {
			return err
		}
		addrs, err := ifi.Addrs()
		for _, a := range addrs {
			p, _ := netip.ParsePrefix(a.String())
			if p.Addr().Is4() {
				self.IPv4 = p.Addr()
			} else if p.Addr().IsLinkLocalUnicast() {
				self.LinkLocal = p.Addr()
			}
		}
		return err
	})
	var es []neighbor.Entry
	for _, addr := range append(others, vips...) {
		es = append(es, neighbor.Entry{Addr: addr, Voice: voice, Standing: neighbor.StandingLease})
	}
	return neighbor.NewTable(self, es)
}

func (n *node) speak() { n.SetTable(n.table(true)) }

// speak has the node speak, and waits until the switch knows.
func (l *lab) speak(n *node) {
	l.t.Helper()
	n.speak()
	l.known(n)
}

// known waits until the switch knows the node as a member of the VIP's group.
func (l *lab) known(n *node) {
	l.t.Helper()
	port := strings.TrimPrefix(n.ns, l.id+"-")
	eventually(l.t, 3*time.Second, port+" known to the bridge", l.knows(port, neighbor.SolicitedNode(vip6)))
}

// answers asks by arping or ndisc6 and gives the MACs that answered within a second, each
// once.
func (h *host) answers(addr netip.Addr) []string {
	args := []string{"arping", "-c", "1", "-w", "1", "-I", h.card, addr.String()}
	if addr.Is6() {
		args = []string{"ndisc6", "-m", "-r", "1", "-w", "1000", addr.String(), h.card}
	}
	out, _ := h.run(args...)
	var macs []string
	for _, m := range regexp.MustCompile(`(?i)[0-9a-f]{2}(:[0-9a-f]{2}){5}`).FindAllString(out, -1) {
		macs = append(macs, strings.ToLower(m))
	}
	slices.Sort(macs)
	return slices.Compact(macs)
}

// wantAnswer wants one card to answer for both VIPs, "" for none. What a busy machine reads too
// late is not answered (neighbor.FrameLimit), so it asks three times.
func (h *host) wantAnswer(mac string) {
	h.t.Helper()
	for _, addr := range vips {
		h.wantAnswers(addr, mac)
	}
}

func (h *host) wantAnswers(addr netip.Addr, mac string) {
	h.t.Helper()
	got := h.answers(addr)
	for tries := 1; tries < 3 && mac != "" && len(got) == 0; tries++ {
		got = h.answers(addr)
	}
	if strings.Join(got, " ") != mac {
		h.t.Errorf("%v is answered for by %v, want [%s]", addr, got, mac)
	}
}

// talk sends a datagram to the address, so that the kernel looks for it.
func (h *host) talk(addr netip.Addr) {
	h.t.Helper()
	h.in(func() error {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
		if err != nil {
			return err
		}
		_, _ = c.Write([]byte("."))
		return c.Close()
	})
}

// entry is what the kernel's neighbour table says of the address: MAC, state and "router".
func (h *host) entry(addr netip.Addr) string {
	out, _ := h.run("ip", "neigh", "show", addr.String(), "dev", h.card)
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(out), addr.String()))
}
