// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// minutesEnv is for how many minutes a kernel probes; without it some seconds.
const minutesEnv = "ARPEGGIO_PROBE_MINUTES"

func probing(t *testing.T) time.Duration {
	t.Helper()
	v := os.Getenv(minutesEnv)
	if v == "" {
		return 20 * time.Second
	}
	minutes, err := strconv.ParseFloat(v, 64)
	if err != nil || minutes <= 0 {
		t.Fatalf("%s=%q: want minutes, like 10", minutesEnv, v)
	}
	return time.Duration(minutes * float64(time.Minute))
}

// hasty shortens the times of the host's neighbour tables, some thirty times.
func (h *host) hasty() {
	h.t.Helper()
	var settings []string
	for _, family := range []string{"ipv4", "ipv6"} {
		at := "net." + family + ".neigh." + h.card + "."
		settings = append(settings, at+"base_reachable_time_ms=1000", at+"delay_first_probe_time=1",
			at+"retrans_time_ms=250", at+"gc_stale_time=5")
	}
	h.sysctl(settings...)
}

// life is what became of the entry of one address.
type life struct {
	mac                       string
	probes, proofs, deletions int
	moves, failures           []string
}

func (l *life) note(u netlink.NeighUpdate) {
	mac := u.HardwareAddr.String()
	switch {
	case u.Type == unix.RTM_DELNEIGH:
		l.deletions++
		return
	case u.State == netlink.NUD_FAILED:
		l.failures = append(l.failures, time.Now().Format(time.StampMilli))
		return
	case u.State == netlink.NUD_PROBE:
		l.probes++
	case u.State == netlink.NUD_REACHABLE:
		l.proofs++
	}
	if mac != "" && mac != l.mac {
		l.moves = append(l.moves, mac)
		l.mac = mac
	}
}

// neighbours has all changes of the host's neighbour tables sent to the channel.
func (h *host) neighbours() <-chan netlink.NeighUpdate {
	h.t.Helper()
	updates, done := make(chan netlink.NeighUpdate, 100), make(chan struct{})
	h.in(func() error {
		return netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{
			ErrorCallback: func(error) {}, // it is closed at the end
		})
	})
	h.t.Cleanup(func() { close(done) })
	return updates
}

// traffic opens a socket towards each address; what is called sends a datagram by each.
func (h *host) traffic(addrs ...netip.Addr) (send func()) {
	h.t.Helper()
	var conns []*net.UDPConn
	h.in(func() error {
		for _, addr := range addrs {
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		return nil
	})
	h.t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return func() {
		for _, c := range conns {
			_, _ = c.Write([]byte("."))
		}
	}
}

// A kernel probes the entry of a neighbour that it talks to by unicast, here every two
// seconds. Answered each time, the entry stays what it is, for as long as one likes. At
// last the answers end: then the entry fails, as it would have before.
func TestKernelThatProbesKeepsItsEntries(t *testing.T) {
	t.Parallel()
	long := probing(t)
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	client.hasty()
	l.speak(n)
	updates, send := client.neighbours(), client.traffic(vips...)
	lives := map[netip.Addr]*life{vip4: {}, vip6: {}}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	talk := func(until func() bool) {
		for !until() {
			select {
			case u := <-updates:
				addr, _ := netip.AddrFromSlice(u.IP)
				if life := lives[addr.Unmap()]; life != nil {
					life.note(u)
				}
			case <-tick.C:
				send()
			}
		}
	}
	end := time.Now().Add(long)
	talk(func() bool { return time.Now().After(end) })
	for addr, life := range lives {
		t.Logf("%v in %v: %d probes, %d times proven reachable, %d deletions", addr, long, life.probes, life.proofs, life.deletions)
		if len(life.failures) > 0 || len(life.moves) != 1 || life.mac != n.mac.String() {
			t.Errorf("the entry of %v failed at %v, and had the MACs %v; want %v alone", addr, life.failures, life.moves, n.mac)
		}
		if least := int(long / (5 * time.Second)); life.probes < least || life.proofs < least {
			t.Errorf("%v was probed %d times and proven %d times, want %d at least: the kernel did not do its part",
				addr, life.probes, life.proofs, least)
		}
	}
	n.hung.Store(true)
	end = time.Now().Add(10 * time.Second)
	talk(func() bool {
		return time.Now().After(end) || len(lives[vip4].failures) > 0 && len(lives[vip6].failures) > 0
	})
	for addr, life := range lives {
		if len(life.failures) == 0 {
			t.Errorf("the entry of %v does not fail without answers", addr)
		}
	}
	if c := n.Counters(); c.SendErrors != 0 || c.Dials != 1 {
		t.Errorf("counters %+v", c)
	}
}
