// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// run runs a program on a host and gives what it prints, whatever its exit status.
func (w *world) run(t *testing.T, host string, command ...string) string {
	t.Helper()
	out, err := w.lab.Command(t.Context(), host, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}

// ask asks from a host who has an address, by ARP or NDP, and gives the MACs of the
// answers, each once.
func (w *world) ask(t *testing.T, host string, addr netip.Addr) []string {
	t.Helper()
	return w.askOn(t, host, device(addr), addr)
}

// askOn asks on one of the host's interfaces.
func (w *world) askOn(t *testing.T, host, device string, addr netip.Addr) []string {
	t.Helper()
	command := []string{"arping", "-c", "2", "-w", "1", "-I", device, addr.String()}
	if addr.Is6() {
		command = []string{"ndisc6", "-m", "-r", "1", "-w", "300", addr.String(), device}
	}
	var macs []string
	for _, word := range strings.FieldsFunc(strings.ToLower(w.run(t, host, command...)), func(r rune) bool { return strings.ContainsRune(" \n[]", r) }) {
		if _, ok := w.lab.HostByMAC(word); ok && !slices.Contains(macs, word) {
			macs = append(macs, word)
		}
	}
	return macs
}

// device is the interface of every host on the LAN to which an address belongs.
func device(addr netip.Addr) string {
	if cluster.SecondLAN4.Contains(addr) || cluster.SecondLAN6.Contains(addr) {
		return cluster.SecondLANInterface
	}
	return cluster.LANInterface
}

// watch is what the LAN sees while something happens.
type watch struct {
	captures []*capture.Capture
	probes   []*cluster.Probing
	control  *cluster.Probing // the gateway asks for the client, whose kernel answers
}

const (
	// asked is how often the gateway asks who has an address while the LAN is watched.
	asked = 10 * time.Millisecond
	// overlap is how long two may answer for an address in a handover, on an idle machine.
	overlap = 5 * time.Millisecond
	// spell is how far the answers of one speaker may lie apart.
	spell = 10 * asked
	// streams is how many connections are kept open to an address, each with a request
	// every streamPace.
	streams    = 5
	streamPace = 50 * time.Millisecond
)

// look begins to watch: the gateway asks who has each address, the client sends requests
// of the given kinds to it, the switch records who answers. All of it is well before.
func (w *world) look(t *testing.T, every time.Duration, addrs []netip.Addr, kinds ...probe.Kind) *watch {
	t.Helper()
	w.reachable(t, addrs, kinds...)
	s := &watch{}
	t.Cleanup(func() {
		for _, lan := range s.captures {
			_, _ = lan.Close() // the test has failed before it could look at it
		}
	})
	bridges := []string{cluster.LANBridge}
	if slices.ContainsFunc(addrs, func(a netip.Addr) bool { return device(a) == cluster.SecondLANInterface }) {
		bridges = append(bridges, cluster.SecondLANBridge)
	}
	for _, bridge := range bridges {
		lan, err := w.lab.CaptureOn(bridge)
		if err != nil {
			t.Fatal(err)
		}
		s.captures = append(s.captures, lan)
	}
	begin := func(host string, c probe.Config, addr netip.Addr) *cluster.Probing {
		t.Helper()
		c.Target = netip.AddrPortFrom(addr, port)
		p, err := w.lab.Probe(t.Context(), host, c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	s.control = begin(cluster.Gateway, probe.Config{Kind: probe.ARP, Interval: asked}, w.host(t, client1).IPv4)
	for _, addr := range addrs {
		who := probe.ARP
		if addr.Is6() {
			who = probe.NDP
		}
		s.probes = append(s.probes, begin(cluster.Gateway, probe.Config{Kind: who, Interval: asked, Interface: device(addr)}, addr))
		for _, kind := range kinds {
			c := probe.Config{Kind: kind, Interval: every}
			if kind == probe.Stream {
				c.Interval, c.Connections, c.Timeout = streamPace, streams, 2*time.Second
			}
			s.probes = append(s.probes, begin(client1, c, addr))
		}
	}
	time.Sleep(500 * time.Millisecond) // of good health, to compare with
	return s
}

// speaker is the MAC that spoke last for an address.
func (s *watch) speaker(addr netip.Addr) string {
	var found capture.Frame
	for _, lan := range s.captures {
		for _, f := range capture.Of(lan.Frames(), addr) {
			if f.Answer() && f.Time.After(found.Time) {
				found = f
			}
		}
	}
	return found.MAC
}

// end ends a watch, after a second more of it.
func (s *watch) end(t *testing.T) sight {
	t.Helper()
	time.Sleep(time.Second) // in which all must be well again
	probes := append([]*cluster.Probing{s.control}, s.probes...)
	reports, failed := make([]probe.Report, len(probes)), make([]error, len(probes))
	var stopping sync.WaitGroup // each waits for its last answers
	for i, p := range probes {
		stopping.Go(func() { reports[i], failed[i] = p.Stop() })
	}
	stopping.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	seen := sight{noise: max(0, reports[0].Silence.Length()-asked), reports: reports[1:]}
	t.Logf("noise %s", seen.noise)
	for _, r := range seen.reports {
		t.Log(r)
	}
	captures := s.captures
	s.captures = nil
	for _, lan := range captures {
		frames, err := lan.Close()
		if err != nil {
			t.Fatal(err)
		}
		seen.frames = append(seen.frames, frames...)
	}
	seen.voices = capture.Voices(seen.frames, spell)
	return seen
}

// reachable waits until requests of all kinds to some addresses are answered: kube-proxy's
// rules on the nodes come after the address. Nothing is asked before they are there:
// connection tracking would remember what came too early for two minutes, and a later
// connection from the same port would be taken for it.
func (w *world) reachable(t *testing.T, addrs []netip.Addr, kinds ...probe.Kind) {
	t.Helper()
	if len(kinds) > 0 {
		until(t, 90*time.Second, func() error { return w.ruled(t, addrs) }) // it may take that long to come back to the API server
	}
	var failed sync.Map
	var trying sync.WaitGroup
	for _, addr := range addrs {
		for _, kind := range kinds {
			trying.Go(func() {
				failed.Store(fmt.Sprint(kind, addr), attempt(10*time.Second, func() error {
					r, err := w.tryProbe(t, kind, addr, 20*time.Millisecond)
					if err == nil && len(r.Lost) > 0 {
						err = fmt.Errorf("%s; errors %v", r, r.Errors)
					}
					return err
				}))
			})
		}
	}
	trying.Wait()
	failed.Range(func(_, err any) bool {
		if err != nil {
			t.Error(err)
		}
		return true
	})
	if t.Failed() {
		t.FailNow()
	}
}

// ruled tells whether kube-proxy has rules for some addresses on every node.
func (w *world) ruled(t *testing.T, addrs []netip.Addr) error {
	t.Helper()
	for _, h := range w.lab.Hosts() {
		if h.Role != cluster.RoleNode {
			continue
		}
		rules := w.run(t, h.Name, "nft", "list", "map", "ip", "kube-proxy", "service-ips") +
			w.run(t, h.Name, "nft", "list", "map", "ip6", "kube-proxy", "service-ips")
		for _, addr := range addrs {
			if !strings.Contains(rules, addr.String()+" . tcp") || !strings.Contains(rules, addr.String()+" . udp") {
				return fmt.Errorf("kube-proxy on %s has no rules for %s", h.Name, addr)
			}
		}
	}
	return nil
}

// probe sends requests from the client for a while.
func (w *world) probe(t *testing.T, kind probe.Kind, addr netip.Addr, every time.Duration) probe.Report {
	t.Helper()
	r, err := w.tryProbe(t, kind, addr, every)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) tryProbe(t *testing.T, kind probe.Kind, addr netip.Addr, every time.Duration) (probe.Report, error) {
	p, err := w.lab.Probe(t.Context(), client1, probe.Config{Kind: kind, Target: netip.AddrPortFrom(addr, port), Interval: every})
	if err != nil {
		return probe.Report{}, err
	}
	time.Sleep(25 * every)
	return p.Stop()
}
