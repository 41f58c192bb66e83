// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// kernel is what was read from it: the input of the one decision of this package.
type kernel struct {
	links  []device
	addrs  []address
	routes []defaultRoute
	neighs []neigh
}

// device is a network device as the kernel describes it.
type device struct {
	index, master int
	parent        int // the device it is stacked on (IFLA_LINK), of some kinds
	name          string
	kind          string // of IFLA_INFO_KIND: "bridge", "veth", …; "device" for hardware
	mac           neighbor.MAC
	mtu           int
	ethernet      bool
	up, carrier   bool
	loopback      bool
	broadcast     bool // can reach everyone on its segment
	arp           bool // takes part in address resolution
	bondMode      string
	vrfTable      int  // of a VRF
	peerElsewhere bool // the other end is in another network namespace
	forwarding6   bool
}

// address of a device.
type address struct {
	index     int
	prefix    netip.Prefix
	secondary bool // IPv4: another address of the same subnet; IPv6: temporary (RFC 8981)
	tentative bool // not yet, or not, found to be unique (RFC 4862 section 5.4)
}

// defaultRoute is one next hop of one.
type defaultRoute struct {
	index    int
	is4      bool
	table    int
	priority int        // the lower is used
	via      netip.Addr // the gateway, without zone; invalid for none
}

// neigh is an entry of the neighbour table that has a MAC and was of use not long ago.
type neigh struct {
	index int
	addr  netip.Addr
}

// mainTable is where the routes are that no VRF owns.
const mainTable = 254

// judge makes the picture.
func judge(k kernel) Snapshot {
	byIndex := map[int]device{}
	for _, d := range k.links {
		byIndex[d.index] = d
	}
	var s Snapshot
	for _, d := range k.links {
		i := describe(d, k)
		switch reason := refuse(d, k, byIndex, len(i.Prefixes) > 0); {
		case reason == "":
			i.DefaultRoute4 = leavesBy(d, byIndex, k.routes, true)
			i.DefaultRoute6 = leavesBy(d, byIndex, k.routes, false)
			i.Gateways4, i.Gateways6 = gateways(d, k.routes)
			i.Neighbors = neighbors(d, k.neighs, i)
			s.Interfaces = append(s.Interfaces, i)
		case reason != reasonContainer && meant(d, byIndex):
			s.Refused = append(s.Refused, Refusal{Name: d.name, Reason: reason})
		}
	}
	slices.SortFunc(s.Interfaces, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Refused, Refusal.compare)
	return s
}

// What is refused is told in words that go on after the interface's name, and say what to do
// instead if anybody can do anything.
const (
	reasonContainer  = "is the cable of a container"
	reasonNotEther   = "is not an Ethernet interface: " + nameTheLAN
	reasonDown       = "is down: set it up"
	reasonCarrier    = "has no carrier: check its cable and the other end"
	reasonNoARP      = "takes no part in address resolution (NOARP): " + nameTheLAN
	reasonDummy      = "is a dummy, which reaches nobody: " + nameTheLAN
	reasonNoCard     = "has no MAC address of its own: " + nameTheLAN
	reasonBalanceALB = "shows several MAC addresses by design, as balance-alb and balance-tlb bonds do: use active-backup or 802.3ad"
	reasonLostMaster = "is a port of another interface: name that one instead"

	nameTheLAN = "name the interface of the LAN instead"
)

func reasonPort(master string) string {
	return "is a port of " + master + ": name " + master + " instead"
}

// meant is whether somebody could have meant the device when naming an interface. Loopbacks are
// nobody's choice, and devices that come and go with a container, a virtual machine or a caller
// would have the node tell of ever new ones: there are hundreds on some nodes. Of those, only
// what a container calls its own card (eth0, eth1) is one, on a node that is a container itself;
// and the ports of a bond, which is no place for them.
func meant(d device, byIndex map[int]device) bool {
	if d.loopback {
		return false
	}
	switch d.kind {
	case "veth", "netkit", "tuntap", "tun", "ppp":
	default:
		return true
	}
	number, numbered := strings.CutPrefix(d.name, "eth")
	_, err := strconv.ParseUint(number, 10, 8)
	master := byIndex[d.master].kind
	return numbered && err == nil || master == "bond" || master == "team"
}

// refuse says why the device cannot carry a VIP; "" if it can.
func refuse(d device, k kernel, byIndex map[int]device, addressed bool) string {
	master, hasMaster := byIndex[d.master]
	switch {
	case d.loopback, !d.ethernet:
		return reasonNotEther
	case d.master != 0 && (!hasMaster || master.kind != "vrf"):
		// Frames of a port belong to its master: bridge, bond, team, OVS. A VRF only
		// chooses the routing table.
		if !hasMaster {
			return reasonLostMaster
		}
		return reasonPort(master.name)
	case d.kind == "vrf":
		return reasonNotEther // a routing table with a name
	case d.kind == "dummy":
		return reasonDummy // kube-ipvs0, nodelocaldns: holders of addresses
	case !d.up:
		return reasonDown
	case !d.carrier:
		return reasonCarrier
	case !d.arp || !d.broadcast:
		return reasonNoARP
	case !d.mac.IsCard():
		return reasonNoCard
	case balances(d, k.links, byIndex, maxStack):
		return reasonBalanceALB
	case d.kind == "veth" && d.peerElsewhere && !addressed:
		// The host's end of a pod's cable. A node that is a container itself has its
		// address on such a device.
		return reasonContainer
	}
	return ""
}

// maxStack is how many devices may be stacked (MAX_NEST_DEV in the kernel).
const maxStack = 8

// balances is whether frames of the device leave by a bond that puts the MAC of one of its
// ports into each: the device itself, or what is below a bridge, VLAN or macvlan.
func balances(d device, links []device, byIndex map[int]device, depth int) bool {
	if depth == 0 {
		return false
	}
	switch d.kind {
	case "bond":
		return d.bondMode == "balance-alb" || d.bondMode == "balance-tlb"
	case "vlan", "macvlan", "macvtap":
		below, ok := byIndex[d.parent]
		return ok && balances(below, links, byIndex, depth-1)
	case "bridge", "openvswitch":
		for _, port := range links {
			if port.master == d.index && balances(port, links, byIndex, depth-1) {
				return true
			}
		}
	}
	return false
}

func describe(d device, k kernel) Interface {
	i := Interface{Name: d.name, Index: d.index, MAC: d.mac, MTU: d.mtu, Router: d.forwarding6}
	for _, a := range k.addrs {
		addr := a.prefix.Addr()
		switch {
		case a.index != d.index || a.tentative:
		case addr.Is6() && addr.IsLinkLocalUnicast():
			if !i.LinkLocal.IsValid() {
				i.LinkLocal = addr
			}
		case addr.Is4() && !a.secondary && !i.IPv4.IsValid():
			i.IPv4 = addr
			fallthrough
		default:
			if !addr.IsLinkLocalUnicast() && (addr.Is4() || !a.secondary) {
				i.Prefixes = append(i.Prefixes, a.prefix)
			}
		}
	}
	slices.SortFunc(i.Prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return i
}

// leavesBy is whether the best default route of the device's routing table leaves by it.
func leavesBy(d device, byIndex map[int]device, routes []defaultRoute, is4 bool) bool {
	table := mainTable
	if m := byIndex[d.master]; m.kind == "vrf" {
		table = m.vrfTable
	}
	best, here := 0, false
	found := false
	for _, r := range routes {
		if r.is4 != is4 || r.table != table {
			continue
		}
		switch {
		case !found || r.priority < best:
			best, here, found = r.priority, r.index == d.index, true
		case r.priority == best && r.index == d.index:
			here = true
		}
	}
	return here
}

// gateways are the next hops of all default routes that leave by the device, whatever their
// table and priority: each of them is on its segment. They go by the family of their
// own address, by which they are resolved (RFC 8950 has one of IPv6 serve IPv4).
func gateways(d device, routes []defaultRoute) (v4, v6 []netip.Addr) {
	for _, r := range routes {
		switch {
		case r.index != d.index:
		case r.via.Is4():
			v4 = append(v4, r.via)
		case r.via.Is6():
			v6 = append(v6, r.via)
		}
	}
	return sorted(v4), sorted(v6)
}

// maxNeighbors is how many neighbours of a family are told of.
const maxNeighbors = 4

// neighbors are the lowest addresses of each family, so that the choice is much the same
// each time.
func neighbors(d device, neighs []neigh, i Interface) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, n := range neighs {
		switch {
		case n.index != d.index || slices.Contains(i.Gateways4, n.addr) || slices.Contains(i.Gateways6, n.addr):
		case n.addr.Is4():
			v4 = append(v4, n.addr)
		case n.addr.Is6():
			v6 = append(v6, n.addr)
		}
	}
	v4, v6 = sorted(v4), sorted(v6)
	return slices.Concat(v4[:min(len(v4), maxNeighbors)], v6[:min(len(v6), maxNeighbors)])
}

// sorted sorts in place and leaves each address once.
func sorted(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
