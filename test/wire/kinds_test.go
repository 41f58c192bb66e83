// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// add makes a device. A kind that this kernel was built without is a reason to skip: nothing
// that is installed would help.
func (h *host) add(t *testing.T, device string) {
	t.Helper()
	args := append([]string{"-n", h.ns, "link", "add"}, strings.Fields(device)...)
	out, err := run("ip", args...)
	switch {
	case err == nil:
	case strings.Contains(out, "Unknown device type"), strings.Contains(out, "Operation not supported"):
		t.Skipf("this kernel cannot make it: ip link add %s: %s", device, strings.TrimSpace(out))
	default:
		t.Fatalf("ip link add %s: %v\n%s", device, err, out)
	}
}

// second gives the host another cable to the bridge, as eth1.
func (l *lab) second(h *host, name string) {
	l.t.Helper()
	h.ip("link add eth1 type veth peer name " + name + " netns " + l.bench.ns)
	l.bench.ip("link set " + name + " master br0 up")
}

// accepted waits until the interface can carry a VIP, and reads its MAC.
func (w *watched) accepted(name string) {
	w.t.Helper()
	w.until(name+" accepted", func(s link.Snapshot) bool { return refusal(s, name) == "accepted" })
	w.card = name
	w.readMAC()
}

// wantRefused waits for the refusal, which must name what to do.
func (w *watched) wantRefused(name, reason, remedy string) {
	w.t.Helper()
	w.until(name+": "+reason, func(s link.Snapshot) bool { return strings.Contains(refusal(s, name), reason) })
	if got := refusal(w.last, name); !strings.Contains(got, remedy) {
		w.t.Errorf("%s is refused for %q, which does not say %q", name, got, remedy)
	}
}

// speaks has a port on the host's card speak, and wants the client to hear that card and no
// other. cable is the switch's end of the card's cable.
func (l *lab) speaks(client, h *host, cable string) *node {
	l.t.Helper()
	n := l.port(h)
	n.speak()
	eventually(l.t, 2*time.Second, n.String()+" is up", n.Ready)
	if cable != "" {
		eventually(l.t, 3*time.Second, "known to the bridge", l.knows(cable, neighbor.SolicitedNode(vip6)))
	}
	client.wantAnswer(n.mac.String())
	return n
}

// renewed does what the agent does when its card has another MAC.
func (n *node) renewed() {
	n.t.Helper()
	n.readMAC()
	n.speak()
	n.Announce(vips...)
}

// wantEntries wants the client's kernel to know the node's card for both VIPs.
func (n *node) wantEntries(client *host) {
	n.t.Helper()
	for _, addr := range vips {
		eventually(n.t, time.Second, addr.String()+" at "+n.mac.String(), func() bool {
			return strings.HasPrefix(client.entry(addr), "lladdr "+n.mac.String())
		})
	}
}

// A bridge has the lowest MAC of its ports, so another port may change it: the VIP is
// announced again, and with the new one.
func TestVIPOnABridge(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	w := watch(t, h)
	h.add(t, "br1 type bridge")
	h.ip("link set eth0 master br1")
	h.ip("link set br1 up")
	w.wantRefused("eth0", "a port of br1", "name br1")
	w.accepted("br1")
	n := l.speaks(client, h, "node1")
	for _, addr := range vips {
		client.talk(addr)
	}
	n.wantEntries(client)
	const lowest = "02:00:00:00:00:01"
	h.ip("link add low address " + lowest + " type veth peer name other")
	h.ip("link set low master br1 up")
	w.until("another MAC", func(s link.Snapshot) bool {
		i, ok := s.Find("br1")
		return ok && i.MAC.String() == lowest
	})
	n.renewed()
	n.wantEntries(client)
	client.wantAnswer(lowest)
}

// A bond of two cables: when the first is pulled, the other one carries the VIP. Whether
// the bond then shows another MAC is a matter of fail_over_mac.
func TestVIPOnABond(t *testing.T) {
	for policy, moves := range map[string]bool{"none": false, "active": true, "follow": false} {
		t.Run("fail_over_mac "+policy, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			client, h := l.host("client"), l.host("node1")
			l.second(h, "cable1")
			w := watch(t, h)
			h.add(t, "bond0 type bond mode active-backup miimon 20 fail_over_mac "+policy)
			for _, port := range []string{"eth0", "eth1"} {
				h.ip("link set " + port + " down")
				h.ip("link set " + port + " master bond0")
			}
			h.ip("link set bond0 up")
			w.wantRefused("eth1", "a port of bond0", "name bond0")
			w.accepted("bond0")
			n := l.speaks(client, h, "node1")
			for _, addr := range vips {
				client.talk(addr)
			}
			n.wantEntries(client)
			before := n.mac
			l.bench.ip("link set node1 down")
			if moves {
				w.until("another MAC", func(s link.Snapshot) bool {
					i, ok := s.Find("bond0")
					return ok && i.MAC != before
				})
				n.renewed()
			}
			n.wantEntries(client)
			eventually(t, 3*time.Second, "known behind the other cable", l.knows("cable1", neighbor.SolicitedNode(vip6)))
			client.wantAnswer(n.mac.String())
		})
	}
}

// A bond that balances shows each of its ports' MACs, by design.
func TestBondThatBalancesIsRefused(t *testing.T) {
	for _, mode := range []string{"balance-alb", "balance-tlb"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := newLab(t).host("node1")
			w := watch(t, h)
			h.add(t, "bond0 type bond mode "+mode)
			h.ip("link set eth0 down")
			h.ip("link set eth0 master bond0")
			h.ip("link set bond0 up")
			w.wantRefused("bond0", "several MAC addresses", "active-backup or 802.3ad")
		})
	}
}

func TestVIPOnATeam(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	w := watch(t, h)
	h.add(t, "team0 type team")
	h.ip("link set eth0 down")
	h.ip("link set eth0 master team0")
	h.ip("link set team0 up")
	w.wantRefused("eth0", "a port of team0", "name team0")
	w.accepted("team0")
	l.speaks(client, h, "node1")
}

func TestVIPOnAMemberOfAVRF(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	w := watch(t, h)
	h.add(t, "red type vrf table 10")
	h.ip("link set red up")
	h.ip("link set eth0 master red")
	w.wantRefused("red", "not an Ethernet interface", "")
	w.accepted("eth0")
	l.speaks(client, h, "node1")
}

// A macvlan has a MAC of its own, and the card lets in only the groups it has joined.
func TestVIPOnAMacvlan(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	w := watch(t, h)
	h.add(t, "mv0 link eth0 type macvlan mode bridge")
	h.ip("link set mv0 up")
	card := h.mac
	w.accepted("mv0")
	if n := l.speaks(client, h, "node1"); n.mac == card {
		t.Errorf("the macvlan has its parent's MAC %v", card)
	}
}

func TestVIPInAVXLAN(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	w := watch(t, h)
	for _, end := range []struct {
		at, other *host
		address   string
	}{{client, h, "198.51.100.1/24"}, {h, client, "198.51.100.2/24"}} {
		end.at.add(t, "vx0 type vxlan id 5 dstport 4789 dev eth0 remote "+end.other.addresses()[0].String())
		end.at.ip("link set vx0 up")
		end.at.ip("addr add " + end.address + " dev vx0")
	}
	client.card = "vx0"
	client.readMAC()
	w.accepted("vx0")
	l.speaks(client, h, "")
}

// A VIP asked for in a VLAN is answered in it, and not outside.
func TestVIPInAVLAN(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, outside, h := l.host("client"), l.host("outside"), l.host("node1")
	w := watch(t, h)
	for _, end := range []*host{client, h} {
		end.add(t, "eth0.5 link eth0 type vlan id 5")
		end.ip("link set eth0.5 up")
	}
	client.ip("addr add 198.51.100.1/24 dev eth0.5")
	client.card = "eth0.5"
	client.readMAC()
	w.accepted("eth0.5")
	l.speaks(client, h, "")
	outside.wantAnswer("")
}

// A dummy takes part in nothing; nor does it when somebody has it resolve addresses.
func TestDummyIsRefused(t *testing.T) {
	t.Parallel()
	h := newLab(t).host("node1")
	w := watch(t, h)
	h.add(t, "dummy0 type dummy")
	h.ip("link set dummy0 up arp on multicast on")
	w.wantRefused("dummy0", "reaches nobody", "the interface of the LAN")
}
