// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package cluster_test

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
)

// TestFabrics takes one cluster with two LANs through all kinds of the first.
func TestFabrics(t *testing.T) {
	if _, err := cluster.Open(); err == nil {
		t.Fatal("a lab is up on this machine; take it down first")
	}
	t.Cleanup(func() {
		if err := cluster.Down(context.Background(), io.Discard); err != nil {
			t.Error(err)
		}
	})
	c, err := cluster.Up(t.Context(), cluster.Options{LANs: 2, Owned: true, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	l := &life{c: c}
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"two-lans", l.twoLANs}, {"isolated", l.isolated}, {"suppressing", l.suppressing}, {"proxy-arp", l.proxyARP},
	} {
		if !t.Run(step.name, step.test) {
			t.Fatalf("%s failed; the rest builds on it", step.name)
		}
	}
	noTraces(t, before) // of any kind but the first
}

// asks gives the hosts that answer an ARP request of a host, on one of its interfaces, in the order of their names.
func (l *life) asks(t *testing.T, from, device string, addr netip.Addr) []string {
	t.Helper()
	bridge := cluster.LANBridge
	if device == cluster.SecondLANInterface {
		bridge = cluster.SecondLANBridge
	}
	var captures []*capture.Capture
	for _, b := range []string{bridge, cluster.FarBridge} {
		if lan, err := l.c.CaptureOn(b); err == nil {
			captures = append(captures, lan)
		} else if b == bridge {
			t.Fatal(err)
		}
	}
	_ = l.c.Command(t.Context(), from, "arping", "-q", "-b", "-c2", "-w2", "-I", device, addr.String()).Run()
	var who []string
	for _, lan := range captures {
		frames, err := lan.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range capture.Of(frames, addr) {
			if h, ok := l.c.HostByMAC(f.MAC); f.Answer() && ok && !slices.Contains(who, h.Name) {
				who = append(who, h.Name)
			}
		}
	}
	slices.Sort(who)
	return who
}

func (l *life) host(t *testing.T, name string) cluster.Host {
	t.Helper()
	h, err := l.c.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (l *life) answered(t *testing.T, from, device string, addr netip.Addr, want ...string) {
	t.Helper()
	if got := l.asks(t, from, device, addr); !slices.Equal(got, want) {
		t.Errorf("%s asks on %s who has %s: %v answer, want %v", from, device, addr, got, want)
	}
}

// twoLANs: the second LAN is a LAN of its own, with faults of its own, also after a crash.
func (l *life) twoLANs(t *testing.T) {
	first, second := cluster.LANInterface, cluster.SecondLANInterface
	node2 := l.host(t, "node2")
	if node2.Second == nil || node2.Second.IPv4.String() != "192.168.78.12" || node2.Second.IPv6.String() != "fd00:79::12" {
		t.Fatalf("node2 on the second LAN: %+v", node2.Second)
	}
	l.answered(t, "client1", second, node2.Second.IPv4, "node2")
	l.exec(t, "client1", "ping", "-c1", "-W1", node2.Second.IPv6.String())
	l.fault(t, "node2", cluster.LinkDown)
	l.answered(t, "client1", first, node2.IPv4)
	l.answered(t, "client1", second, node2.Second.IPv4, "node2")
	l.fault(t, "node2", cluster.LinkUp)
	if err := l.c.FaultOn(t.Context(), "node2", 2, cluster.CutLAN); err != nil {
		t.Fatal(err)
	}
	l.answered(t, "client1", first, node2.IPv4, "node2")
	l.answered(t, "client1", second, node2.Second.IPv4)
	l.fault(t, "node2", cluster.Crash)
	l.fault(t, "node2", cluster.Restore)
	l.answered(t, "client1", second, node2.Second.IPv4, "node2")
}

func (l *life) fabric(t *testing.T, f cluster.Fabric) {
	t.Helper()
	if err := l.c.SetFabric(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// isolated: nodes hear clients and the gateway, and are heard by them, but not each other; a restored one as well.
func (l *life) isolated(t *testing.T) {
	node1, node2, client := l.host(t, "node1").IPv4, l.host(t, "node2").IPv4, l.host(t, "client1").IPv4
	l.fabric(t, cluster.Isolated)
	l.fault(t, "node2", cluster.Crash)
	l.fault(t, "node2", cluster.Restore)
	l.answered(t, "node1", "eth0", node2)
	l.answered(t, "node2", "eth0", node1)
	l.answered(t, "client1", "eth0", node2, "node2")
	l.answered(t, cluster.Gateway, "eth0", node1, "node1")
	l.answered(t, "node2", "eth0", client, "client1")
	l.fabric(t, cluster.Switched)
	l.answered(t, "node1", "eth0", node2, "node2")
}

// suppressing: questions pass from one bridge to the other, gratuitous ARP does not, and what the fabric was taught it
// answers without asking, also for the dead.
func (l *life) suppressing(t *testing.T) {
	near, far, client := l.host(t, "node1"), l.host(t, "node2"), l.host(t, "client1")
	l.fabric(t, cluster.Suppressing)
	l.answered(t, "node2", "eth0", near.IPv4, "node1")
	l.answered(t, "client1", "eth0", far.IPv4, "node2")
	l.exec(t, "node2", "ping", "-c1", "-W1", "-s1472", "-Mdo", client.IPv4.String()) // a whole frame fits
	l.exec(t, "node2", "ping", "-c1", "-W1", client.IPv6.String())

	gratuitous := func(from, at string) bool {
		lan, err := l.c.CaptureOn(at)
		if err != nil {
			t.Fatal(err)
		}
		h := l.host(t, from)
		_ = l.c.Command(t.Context(), from, "arping", "-q", "-U", "-c2", "-w1", "-I", "eth0", h.IPv4.String()).Run()
		frames, err := lan.Close()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(frames, func(f capture.Frame) bool { return f.Kind == capture.ARPClaim && f.MAC == h.MAC })
	}
	if !gratuitous("node2", cluster.FarBridge) || gratuitous("node2", cluster.LANBridge) {
		t.Error("gratuitous ARP of node2: not heard beside it, or heard at the other end of the fabric")
	}
	if !gratuitous("node1", cluster.LANBridge) || gratuitous("node1", cluster.FarBridge) {
		t.Error("gratuitous ARP of node1: not heard beside it, or heard at the other end of the fabric")
	}

	dead := netip.MustParseAddr("192.168.77.222") // nobody's
	for _, host := range []string{"node1", "node2"} {
		asker := map[string]string{"node1": "node2", "node2": "client1"}[host]
		l.answered(t, asker, "eth0", dead)
		if err := l.c.Teach(t.Context(), dead, host); err != nil {
			t.Fatal(err)
		}
		l.answered(t, asker, "eth0", dead, host)
		if err := l.c.Forget(t.Context(), dead, host); err != nil {
			t.Fatal(err)
		}
		l.answered(t, asker, "eth0", dead)
	}
	l.fabric(t, cluster.Switched)
	l.answered(t, "client1", "eth0", far.IPv4, "node2")
	if !gratuitous("node2", cluster.LANBridge) {
		t.Error("gratuitous ARP of node2 is not heard on one bridge")
	}
}

// proxyARP: the gateway answers for everybody, and for nobody.
func (l *life) proxyARP(t *testing.T) {
	nobody, node2 := netip.MustParseAddr("192.168.77.222"), l.host(t, "node2").IPv4
	l.answered(t, "node1", "eth0", nobody)
	l.answered(t, "node1", "eth0", node2, "node2")
	if err := l.c.ProxyARP(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	l.answered(t, "node1", "eth0", nobody, cluster.Gateway)
	l.answered(t, "node1", "eth0", node2, cluster.Gateway, "node2")
	if err := l.c.ProxyARP(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	l.answered(t, "node1", "eth0", nobody)
}
