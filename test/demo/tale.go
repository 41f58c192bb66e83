// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// tale holds what the chapters know of each other.
type tale struct {
	*story
	lab    *cluster.Cluster
	root   string
	v4, v6 netip.Addr
	owner  v1alpha1.VIPAnnouncementStatus
}

func (t *tale) announcement(ctx context.Context) (v1alpha1.VIPAnnouncement, error) {
	var a v1alpha1.VIPAnnouncement
	out, err := t.lab.Kubectl(ctx, "get", "vipannouncement", "web", "-o", "json").Output()
	if err != nil {
		return a, fmt.Errorf("reading the announcement: %w", err)
	}
	return a, json.Unmarshal(out, &a)
}

// service: a pool, a Deployment and a dual-stack Service, until it has its addresses.
func (t *tale) service(ctx context.Context) error {
	t.chapter("Give a Service an address")
	manifest := filepath.Join(t.root, "test", "demo", "web.yaml")
	if _, err := t.show("kubectl apply -f test/demo/web.yaml", t.lab.Kubectl(ctx, "apply", "-f", manifest)); err != nil {
		return err
	}
	if _, err := t.show("kubectl rollout status deployment/web",
		t.lab.Kubectl(ctx, "rollout", "status", "deployment/web", "--timeout=90s")); err != nil {
		return err
	}
	err := until(ctx, 30*time.Second, func() error {
		a, err := t.announcement(ctx)
		if err != nil {
			return err
		}
		if len(a.Spec.Addresses) != 2 || len(a.Status.Addresses) != 2 || a.Status.Node == "" {
			return fmt.Errorf("the announcement has %d addresses, of which %q speaks for %d", len(a.Spec.Addresses), a.Status.Node, len(a.Status.Addresses))
		}
		t.owner = a.Status
		t.v4, t.v6 = netip.MustParseAddr(a.Spec.Addresses[0].Address), netip.MustParseAddr(a.Spec.Addresses[1].Address)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = t.show("kubectl get svc web", t.lab.Kubectl(ctx, "get", "svc", "web"))
	return err
}

// status: who speaks, from the API alone.
func (t *tale) status(ctx context.Context) error {
	t.chapter("Who speaks for it? The API knows")
	out, err := t.show("kubectl get vipannouncements -o wide", t.lab.Kubectl(ctx, "get", "vipannouncements", "-o", "wide"))
	if err != nil {
		return err
	}
	for _, want := range []string{t.v4.String(), t.v6.String(), t.owner.Node, "eth0"} {
		if err := t.check(strings.Contains(out, want), "it names %s", want); err != nil {
			return err
		}
	}
	var told string
	err = until(ctx, 10*time.Second, func() error {
		b, err := t.lab.Kubectl(ctx, "describe", "svc", "web").Output()
		if err != nil {
			return err
		}
		_, told, _ = strings.Cut(string(b), "Events:")
		if !strings.Contains(told, v1alpha1.EventVIPAnnounced) {
			return fmt.Errorf("no Event %s on the Service", v1alpha1.EventVIPAnnounced)
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.say("\n  $ kubectl describe svc web     (its Events)\n")
	for line := range strings.Lines(strings.TrimPrefix(told, "\n")) {
		t.say("  | %s\n", strings.TrimSpace(line))
	}
	return t.check(strings.Contains(told, "node "+t.owner.Node+" now speaks"), "an Event says that %s speaks, and why", t.owner.Node)
}

// wire: what a client on the LAN gets as answers.
func (t *tale) wire(ctx context.Context) error {
	t.chapter("Ask on the LAN, as any host does")
	host, err := t.lab.Host(t.owner.Node)
	if err != nil {
		return err
	}
	out, err := t.show(fmt.Sprintf("arping -c 3 -I eth0 %s", t.v4),
		t.lab.Command(ctx, "client1", "arping", "-c", "3", "-I", "eth0", t.v4.String()))
	if err != nil {
		return err
	}
	lower := strings.ToLower(out)
	if err := t.check(strings.Count(lower, "["+host.MAC+"]") == 3 && strings.Count(lower, "reply from") == 3,
		"three questions, three answers, all from %s, the card of %s", host.MAC, host.Name); err != nil {
		return err
	}
	if out, err = t.show(fmt.Sprintf("ndisc6 -1 -r 1 %s eth0", t.v6),
		t.lab.Command(ctx, "client1", "ndisc6", "-1", "-r", "1", t.v6.String(), "eth0")); err != nil {
		return err
	}
	if err := t.check(strings.Contains(strings.ToLower(out), host.MAC), "IPv6 neighbour discovery gives the same card"); err != nil {
		return err
	}
	for _, url := range []string{fmt.Sprintf("http://%s/", t.v4), fmt.Sprintf("http://[%s]/", t.v6)} {
		if _, err := t.show("curl "+url, t.lab.Command(ctx, "client1", "curl", "-sS", "--max-time", "5", url)); err != nil {
			return err
		}
	}
	return nil
}

// bound is how long the silence after a crash may be on a busy machine, where other nodes
// find out on the wire that a node is dead.
const bound = 3 * time.Second

// crash: the owner loses power; what the LAN sees.
func (t *tale) crash(ctx context.Context) error {
	t.chapter(fmt.Sprintf("Pull the plug of %s, and watch from the LAN", t.owner.Node))
	lan, err := t.lab.Capture()
	if err != nil {
		return err
	}
	type watcher struct {
		what string
		p    *cluster.Probing
	}
	var watchers []watcher
	for _, w := range []struct {
		what, host string
		kind       probe.Kind
		addr       netip.Addr
	}{
		{"who has " + t.v4.String() + "?", cluster.Gateway, probe.ARP, t.v4},
		{"who has " + t.v6.String() + "?", cluster.Gateway, probe.NDP, t.v6},
		{"UDP requests to " + t.v4.String(), "client1", probe.UDP, t.v4},
		{"UDP requests to " + t.v6.String(), "client1", probe.UDP, t.v6},
	} {
		p, err := t.lab.Probe(ctx, w.host, probe.Config{Kind: w.kind, Target: netip.AddrPortFrom(w.addr, 80), Interval: 10 * time.Millisecond})
		if err != nil {
			return err
		}
		watchers = append(watchers, watcher{w.what, p})
	}
	time.Sleep(time.Second) // a second of good health, to compare with
	old := t.owner
	t.say("  $ bin/lab fault %s crash\n", old.Node)
	if err := t.lab.Fault(ctx, old.Node, cluster.Crash); err != nil {
		return err
	}
	t.say("  %s is gone; waiting for another node to speak ...\n", old.Node)
	err = until(ctx, 30*time.Second, func() error {
		a, err := t.announcement(ctx)
		if err != nil {
			return err
		}
		if a.Status.Node == "" || a.Status.Node == old.Node {
			return fmt.Errorf("still %q speaks", a.Status.Node)
		}
		t.owner = a.Status
		return nil
	})
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	t.say("\n  what the LAN saw\n")
	for _, w := range watchers {
		r, err := w.p.Stop()
		if err != nil {
			return err
		}
		t.say("  %-34s longest silence %5.2f s\n", w.what, r.Silence.Length().Seconds())
		if err := t.check(r.Silence.To.Before(r.Stopped.Add(-500*time.Millisecond)), "it is answered again"); err != nil {
			return err
		}
		if err := t.check(r.Silence.Length() < bound, "within %s: the others found out on the wire, and waited for no heartbeat", bound); err != nil {
			return err
		}
	}
	if _, err := t.show("kubectl get vipannouncements -o wide", t.lab.Kubectl(ctx, "get", "vipannouncements", "-o", "wide")); err != nil {
		return err
	}
	host, err := t.lab.Host(t.owner.Node)
	if err != nil {
		return err
	}
	frames, err := lan.Close()
	if err != nil {
		return err
	}
	voices := capture.Voices(frames, 100*time.Millisecond)
	for _, addr := range []netip.Addr{t.v4, t.v6} {
		v := voices[addr]
		macs := v.MACs()
		if err := t.check(slices.Equal(macs, []string{old.Addresses[0].MAC, host.MAC}),
			"%s: first %s (%s) answered, then %s (%s), nobody else", addr, old.Node, old.Addresses[0].MAC, host.Name, host.MAC); err != nil {
			return fmt.Errorf("%w; heard: %v", err, macs)
		}
		if err := t.check(v.Overlap == 0, "%s: at no time did two MACs answer", addr); err != nil {
			return err
		}
	}
	t.say("\n  A connection that kube-proxy still sends to the pod on the dead node fails, until Kubernetes knows of it; curl asks again.\n")
	for _, url := range []string{fmt.Sprintf("http://%s/", t.v4), fmt.Sprintf("http://[%s]/", t.v6)} {
		if _, err := t.show("curl "+url, t.lab.Command(ctx, "client1", "curl", "-sS", "--retry", "5", "--retry-all-errors", "--max-time", "5", url)); err != nil {
			return err
		}
	}
	return nil
}
