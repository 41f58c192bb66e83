// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

const (
	askingClient    = "client1"
	requestInterval = 5 * time.Millisecond
	whoHasInterval  = 10 * time.Millisecond
	streamInterval  = 50 * time.Millisecond
	streamsPerVIP   = 10
	servicePort     = 80
	// wellFor is how long an address must have been answered for without a pause until a fault counts as over.
	wellFor = 3 * time.Second
)

// watch is what the LAN sees while something happens.
type watch struct {
	addrs  []netip.Addr
	lan    *capture.Capture
	probes []*cluster.Probing
	began  time.Time
}

// look begins to watch some addresses; with streams, TCP connections are kept open to each.
func look(ctx context.Context, lab *cluster.Cluster, addrs []netip.Addr, streams bool) (*watch, error) {
	lan, err := lab.Capture()
	if err != nil {
		return nil, err
	}
	w := &watch{addrs: addrs, lan: lan, began: time.Now()}
	for _, addr := range addrs {
		target := netip.AddrPortFrom(addr, servicePort)
		who := probe.ARP
		if addr.Is6() {
			who = probe.NDP
		}
		err = errors.Join(
			w.probe(ctx, lab, cluster.Gateway, probe.Config{Kind: who, Target: target, Interval: whoHasInterval}),
			w.probe(ctx, lab, askingClient, probe.Config{Kind: probe.UDP, Target: target, Interval: requestInterval}))
		if streams {
			err = errors.Join(err, w.probe(ctx, lab, askingClient,
				probe.Config{Kind: probe.Stream, Target: target, Interval: streamInterval, Connections: streamsPerVIP, Timeout: 2 * time.Second}))
		}
		if err != nil {
			_, _ = w.stop()
			return nil, err
		}
	}
	return w, nil
}

func (w *watch) probe(ctx context.Context, lab *cluster.Cluster, host string, c probe.Config) error {
	p, err := lab.Probe(ctx, host, c)
	if err == nil {
		w.probes = append(w.probes, p)
	}
	return err
}

// stop ends all probes and gives what they report.
func (w *watch) stop() ([]probe.Report, error) {
	reports, failed := make([]probe.Report, len(w.probes)), make([]error, len(w.probes))
	var stopping sync.WaitGroup // each waits for its last answers
	for i, p := range w.probes {
		stopping.Go(func() { reports[i], failed[i] = p.Stop() })
	}
	stopping.Wait()
	return reports, errors.Join(failed...)
}

// end ends the watch and gives what was seen of each address; the fault was at mark.
func (w *watch) end(mark time.Time) (map[netip.Addr]sight, error) { return w.endAfter(w.began, mark) }

// endAfter is end for a watch in which the calm began some time after the watch.
func (w *watch) endAfter(calm, mark time.Time) (map[netip.Addr]sight, error) {
	reports, err := w.stop()
	frames, closing := w.lan.Close()
	if err := errors.Join(err, closing); err != nil {
		return nil, err
	}
	all := map[netip.Addr]sight{}
	for _, addr := range w.addrs {
		all[addr] = seen(addr, reports, frames, calm, mark)
	}
	return all, nil
}

// untilWell waits until all addresses have been answered for without a pause for some seconds since the mark, at least
// so long, and at most so long.
func (w *watch) untilWell(ctx context.Context, mark time.Time, atLeast, atMost time.Duration) error {
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(mark) >= atMost {
			return nil
		}
		since := now.Add(-wellFor)
		if now.Sub(mark) >= atLeast && since.After(mark) && w.well(since, now) {
			return nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *watch) well(since, now time.Time) bool {
	frames := w.lan.Frames()
	for _, addr := range w.addrs {
		if !settled(addr, frames, since, now) {
			return false
		}
	}
	return true
}

// speaker is the MAC that spoke last for an address.
func (w *watch) speaker(addr netip.Addr) string {
	frames := capture.Of(w.lan.Frames(), addr)
	for _, f := range slices.Backward(frames) {
		if f.Answer() {
			return f.MAC
		}
	}
	return ""
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
