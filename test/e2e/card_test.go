// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// mac2 is a MAC that no host of the lab has.
const mac2 = "02:77:00:00:77:77"

// newMAC: the speaker's card gets another MAC while it speaks. It speaks on, in the same
// reign, announces the new MAC and never answers with the old one again.
func (w *world) newMAC(t *testing.T) {
	w.serve(t, service("mac", dual))
	old := w.spoken(t, "mac")
	node, mac := old.Status.Node, w.mac(t, old.Status.Node)
	t.Cleanup(func() { w.ip(t, node, "link", "set", cluster.LANInterface, "address", mac) })
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs, probe.UDP)
	w.ip(t, node, "link", "set", cluster.LANInterface, "address", mac2)
	changed := time.Now()
	until(t, 10*time.Second, func() error {
		now := w.spoken(t, "mac")
		for _, x := range now.Status.Addresses {
			if x.MAC != mac2 {
				return fmt.Errorf("the status names %+v, want %s", x, mac2)
			}
		}
		return nil
	})
	t.Logf("told %s after the change", time.Since(changed))
	seen := watch.end(t)
	seen.silent(t, outage)
	seen.succession(t, addrs, mac, mac2)
	w.unmoved(t, old)
	for _, addr := range addrs {
		frames := capture.Of(seen.frames, addr)
		i := slices.IndexFunc(frames, announces(mac2))
		if i < 0 {
			t.Errorf("%s: nobody told all hosts of the new MAC", addr)
			continue
		}
		told := frames[i].Time.Sub(changed)
		t.Logf("%s: all hosts were told %s after the change", addr, told)
		t.Run("at-once", func(t *testing.T) {
			if told > stall+seen.noise {
				t.Errorf("%s: all hosts were told %s after the change, want at most %s and the noise of %s", addr, told, stall, seen.noise)
			}
		})
	}
}

// announces tells of a frame whether it says to all hosts that an address is at a MAC.
func announces(mac string) func(capture.Frame) bool {
	return func(f capture.Frame) bool {
		return f.Answer() && f.MAC == mac && (f.Destination == "ff:ff:ff:ff:ff:ff" || f.Destination == "33:33:00:00:00:01")
	}
}

// newAddress: the speaker's card loses its IPv4 address for a moment, and nothing moves. Then
// it loses it for good, and the node hands over, as it can no longer speak for both families.
// When the address is back, nothing moves back.
func (w *world) newAddress(t *testing.T) {
	w.serve(t, service("address", dual))
	old := w.spoken(t, "address")
	node := old.Status.Node
	own := fmt.Sprintf("%s/%d", w.host(t, node).IPv4, cluster.LAN4.Bits())
	give := func() {
		w.ip(t, node, "address", "replace", own, "dev", cluster.LANInterface)
		w.ip(t, node, "route", "replace", "default", "via", w.host(t, cluster.Gateway).IPv4.String())
	}
	t.Cleanup(give)
	addrs := addresses(t, old)
	watch := w.look(t, 10*time.Millisecond, addrs)
	w.ip(t, node, "address", "delete", own, "dev", cluster.LANInterface)
	give()
	time.Sleep(2 * time.Second) // in which it would move
	w.unmoved(t, old)
	w.ip(t, node, "address", "delete", own, "dev", cluster.LANInterface)
	now := w.spokenBy(t, "address", "another node", other(node))
	give()
	time.Sleep(2 * time.Second) // in which it would move back
	seen := watch.end(t)
	seen.heard(t, stall)
	seen.succession(t, addrs, w.mac(t, node), w.mac(t, now.Status.Node))
	w.tells(t, old, now)
	w.unmoved(t, now)
}

// ip runs ip(8) on a host; it works in a Cleanup.
func (w *world) ip(t *testing.T, host string, args ...string) {
	t.Helper()
	if out, err := w.lab.Command(context.WithoutCancel(t.Context()), host, "ip", args...).CombinedOutput(); err != nil {
		t.Errorf("%s: ip %v: %v: %s", host, args, err, out)
	}
}
