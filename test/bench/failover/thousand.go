// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// sweepInterval is how often each of many addresses is asked for: so exactly are their times known.
const sweepInterval = 400 * time.Millisecond

// thousand: a node that speaks for 1,000 addresses of 1,000 Services crashes. Each is asked for by who-has, five times
// in two seconds.
func thousand(ctx context.Context, b *bench) (result, error) {
	r := result{Name: "thousand", What: "1,000 VIPs on one crashed node"}
	const node = "node2"
	c := crowd{name: "bench-thousand", size: 1000, dual: true, node: node}
	err := b.within(ctx, c, func() error {
		// They are all on one node; now everybody may take them.
		if err := b.widen(ctx, c); err != nil {
			return err
		}
		took, missing, voices, err := b.crashCrowd(ctx, c, node)
		if err != nil {
			return err
		}
		slowest := figure.Milliseconds("thousand VIPs answered elsewhere, last", figure.Worst(took))
		if missing > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%d VIPs were not answered elsewhere in %s", missing, crowdWatch))
			slowest = figure.Milliseconds(slowest.Name, crowdWatch)
		}
		r.Figures = []figure.Figure{
			slowest.AtMost(2000),
			figure.Milliseconds("thousand VIPs answered elsewhere, median", figure.Median(took)),
			figure.Lower("thousand VIPs, not answered", float64(missing), "VIPs").AtMost(0),
			figure.Milliseconds("thousand VIPs, two voices", voices).AtMost(float64(sweepInterval.Milliseconds()) / 2),
		}
		return nil
	})
	return r, err
}

// crowdWatch is how long a crowd's addresses are watched after the crash.
const crowdWatch = 40 * time.Second

// widen lets all nodes speak for a crowd.
func (b *bench) widen(ctx context.Context, c crowd) error {
	p := c.pool()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"announcements":null}}`))
	if err := b.api.Patch(ctx, p, patch); err != nil {
		return err
	}
	return until(ctx, crowdTimeout, func() error {
		all, err := b.crowd(ctx, c)
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.Status.Node != c.node || len(a.Spec.Candidates) < 2 {
				return errors.Join(fmt.Errorf("%s: %s speaks, candidates %v", a.Name, a.Status.Node, a.Spec.Candidates), sleep(ctx, time.Second))
			}
		}
		return nil
	})
}

// crashCrowd crashes the node and gives, for each address, how long it took until another answered for it; how many
// nobody else answered for; and the longest time in which two answered for one.
func (b *bench) crashCrowd(ctx context.Context, c crowd, node string) (took []time.Duration, missing int, voices time.Duration, err error) {
	all, err := b.crowd(ctx, c)
	if err != nil {
		return nil, 0, 0, err
	}
	addrs := crowdAddresses(all)
	old, err := b.lab.Host(node)
	asker, other := b.lab.Host(cluster.Gateway)
	if err := errors.Join(err, other); err != nil {
		return nil, 0, 0, err
	}
	if err := sleep(ctx, 10*time.Second); err != nil { // for what the change of the pool has left to do
		return nil, 0, 0, err
	}
	frames, mark, err := b.sweep(ctx, addrs, func() error { return b.lab.Fault(ctx, node, cluster.Crash) })
	if err = errors.Join(err, restore(ctx, b, node)); err != nil {
		return nil, 0, 0, err
	}
	first := firstElsewhere(frames, asker.MAC, old.MAC, mark)
	for _, addr := range addrs {
		if at, ok := first[addr]; ok {
			took = append(took, at)
		} else {
			missing++
		}
	}
	for _, v := range capture.Voices(after(frames, mark), 2*sweepInterval) {
		voices = max(voices, v.Overlap)
	}
	return took, missing, voices, nil
}

// sweep asks for all addresses while something happens, after three seconds of calm, and gives what was heard.
func (b *bench) sweep(ctx context.Context, addrs []netip.Addr, f func() error) ([]capture.Frame, time.Time, error) {
	lan, err := b.lab.Capture()
	if err != nil {
		return nil, time.Time{}, err
	}
	p, err := b.lab.Probe(ctx, cluster.Gateway, probe.Config{Kind: probe.Sweep, Targets: addrs, Interval: sweepInterval})
	if err != nil {
		_, closing := lan.Close()
		return nil, time.Time{}, errors.Join(err, closing)
	}
	err = sleep(ctx, 3*time.Second)
	mark := time.Now()
	if err == nil {
		err = f()
	}
	for err == nil && time.Since(mark) < crowdWatch {
		// When all have been answered by somebody in the last second, and some time has passed, it is over.
		if now := time.Now(); now.Sub(mark) > 3*time.Second && answered(lan.Frames(), addrs, now.Add(-time.Second)) {
			break
		}
		err = sleep(ctx, time.Second)
	}
	_, stopping := p.Stop()
	frames, closing := lan.Close()
	return frames, mark, errors.Join(err, stopping, closing)
}

// answered says whether somebody has spoken for each address since a time.
func answered(frames []capture.Frame, addrs []netip.Addr, since time.Time) bool {
	heard := map[netip.Addr]bool{}
	for _, f := range frames {
		if f.Answer() && f.Time.After(since) {
			heard[f.Addr] = true
		}
	}
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !heard[a] })
}

// firstElsewhere gives, for each address, how long after the mark somebody else than a MAC answered the asker first. An
// announcement to all is no answer.
func firstElsewhere(frames []capture.Frame, asker, than string, mark time.Time) map[netip.Addr]time.Duration {
	first := map[netip.Addr]time.Duration{}
	for _, f := range after(frames, mark) {
		if !f.Answer() || f.MAC == than || f.Destination != asker {
			continue
		}
		if took, ok := first[f.Addr]; !ok || f.Time.Sub(mark) < took {
			first[f.Addr] = f.Time.Sub(mark)
		}
	}
	return first
}

func after(frames []capture.Frame, mark time.Time) []capture.Frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f capture.Frame) bool { return f.Time.Before(mark) })
}

// spread: how many of 300 addresses each node speaks for, as the status says and as the LAN hears.
func spread(ctx context.Context, b *bench) (result, error) {
	r := result{Name: "spread", What: "300 VIPs over three equal nodes"}
	c := crowd{name: "bench-spread", size: 300}
	err := b.within(ctx, c, func() error {
		all, err := b.crowd(ctx, c)
		if err != nil {
			return err
		}
		said := map[string]int{"node1": 0, "node2": 0, "node3": 0}
		for _, a := range all {
			said[a.Status.Node]++
		}
		frames, _, err := b.sweep(ctx, crowdAddresses(all), func() error { return nil })
		if err != nil {
			return err
		}
		heard := map[string]int{"node1": 0, "node2": 0, "node3": 0}
		voices := capture.Voices(frames, time.Minute)
		for _, addr := range crowdAddresses(all) {
			for _, mac := range voices[addr].MACs() {
				h, _ := b.lab.HostByMAC(mac)
				heard[h.Name]++
			}
		}
		r.Figures = []figure.Figure{
			figure.Lower("spread of 300 VIPs, furthest from even, by status", float64(uneven(said)), "VIPs").AtMost(1),
			figure.Lower("spread of 300 VIPs, furthest from even, by ARP", float64(uneven(heard)), "VIPs").AtMost(1),
		}
		b.say("by status %v, by ARP %v", said, heard)
		return nil
	})
	return r, err
}

// uneven is how far the count furthest from their mean is away from it.
func uneven(counts map[string]int) int {
	sum, worst := 0, 0
	for n := range maps.Values(counts) {
		sum += n
	}
	even := sum / len(counts)
	for n := range maps.Values(counts) {
		worst = max(worst, n-even, even-n)
	}
	return worst
}
