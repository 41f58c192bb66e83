// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// interfaces: addresses are spoken for on the interfaces that the pool's entry names, by name or
// pattern; where no node has one, it says so, node by node.
func (w *world) interfaces(t *testing.T) {
	for name, entry := range map[string]string{
		"named": "{interfaces: [eth0]}",
		"glob":  `{interfaces: ["et*", "bond*"]}`,
		"node":  "{interfaces: [eth0], nodeSelector: {matchLabels: {kubernetes.io/hostname: node3}}}",
	} {
		t.Run(name, func(t *testing.T) {
			w.serve(t, vipPool("if-"+name, "192.168.77.247", "announcements: ["+entry+"]"), service("if-"+name, v4, "arpeggio.dev/pool: if-"+name))
			a := w.spoken(t, "if-"+name)
			if name == "node" && a.Status.Node != "node3" {
				t.Errorf("%s speaks, want node3, which alone is selected", a.Status.Node)
			}
			w.answers(t, addresses(t, a)[0], w.mac(t, a.Status.Node))
		})
	}
	t.Run("missing", func(t *testing.T) {
		w.serve(t, vipPool("if-missing", "192.168.77.247", "announcements: [{interfaces: [bond7]}]"), service("if-missing", v4, "arpeggio.dev/pool: if-missing"))
		w.eventually(t, "if-missing", v1alpha1.ReasonNoEligibleNode, "bond7", "node1", "node2", "node3")
	})
}

// renamed: the speaker's interface gets another name while it speaks, and its old one again.
// Somebody speaks all the time but for the moment in which the interface was down, and the
// status names the interface as it is called.
func (w *world) renamed(t *testing.T) {
	w.serve(t, service("renamed", v4))
	old := w.spoken(t, "renamed")
	addrs := addresses(t, old)
	node := old.Status.Node
	own := w.host(t, node)
	rename := func(from, to string) {
		w.ip(t, node, "link", "set", from, "down") // and so loses its IPv6 addresses and its routes
		w.ip(t, node, "link", "set", from, "name", to)
		w.ip(t, node, "link", "set", to, "up")
		w.ip(t, node, "address", "replace", fmt.Sprintf("%s/%d", own.IPv6, cluster.LAN6.Bits()), "dev", to, "nodad")
		w.ip(t, node, "route", "replace", "default", "via", w.host(t, cluster.Gateway).IPv4.String())
	}
	watch := w.look(t, 10*time.Millisecond, addrs)
	rename(cluster.LANInterface, "uplink")
	back := sync.OnceFunc(func() { rename("uplink", cluster.LANInterface) })
	t.Cleanup(back)
	now := w.agreed(t, "renamed", addrs)
	t.Logf("%s on %+v", now.Status.Node, now.Status.Addresses)
	back()
	w.agreed(t, "renamed", addrs)
	seen := watch.end(t)
	seen.silent(t, outage)
	for _, addr := range addrs {
		seen.oneVoice(t, addr)
	}
}
