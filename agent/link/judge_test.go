// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

var card = neighbor.MAC{2, 0, 0x5e, 0, 0x53, 1}

// nic is a plain network card that can carry a VIP.
func nic(change func(*device)) device {
	d := device{
		index: 2, name: "eth0", kind: "device", mac: card, mtu: 1500,
		ethernet: true, up: true, carrier: true, broadcast: true, arp: true,
	}
	if change != nil {
		change(&d)
	}
	return d
}

func master(kind string) device {
	return nic(func(d *device) { d.index, d.name, d.kind, d.vrfTable = 9, "m0", kind, 1009 })
}

// alb is a bond that balances, and is a port of master if that is not 0.
func alb(master int) device {
	return nic(func(d *device) {
		d.index, d.name, d.kind, d.bondMode, d.master = 8, "b0", "bond", "balance-alb", master
	})
}

// stacked is a device on top of device 7, which is alb's VLAN, or of alb itself.
func stacked(kind string) device {
	return nic(func(d *device) {
		d.kind, d.parent = kind, 8
		if kind == "macvlan" {
			d.parent = 7
		}
	})
}

func TestWhichInterfacesCanCarryAVIP(t *testing.T) {
	port := func(d *device) { d.master = 9 }
	for name, tc := range map[string]struct {
		device  device
		others  []device
		addr    string
		refused string // "" for accepted, "-" for refused without a word
	}{
		"a card":               {device: nic(nil)},
		"without an address":   {device: nic(nil)},
		"loopback":             {device: nic(func(d *device) { d.loopback, d.ethernet = true, false }), refused: "-"},
		"tunnel":               {device: nic(func(d *device) { d.ethernet = false }), refused: reasonNotEther},
		"down":                 {device: nic(func(d *device) { d.up, d.carrier = false, false }), refused: reasonDown},
		"no carrier":           {device: nic(func(d *device) { d.carrier = false }), refused: reasonCarrier},
		"kube-ipvs0":           {device: nic(func(d *device) { d.arp, d.kind = false, "dummy" }), refused: reasonDummy},
		"dummy, resolving":     {device: nic(func(d *device) { d.kind = "dummy" }), addr: "192.0.2.1/24", refused: reasonDummy},
		"NOARP":                {device: nic(func(d *device) { d.arp = false }), refused: reasonNoARP},
		"point to point":       {device: nic(func(d *device) { d.broadcast = false }), refused: reasonNoARP},
		"zero MAC":             {device: nic(func(d *device) { d.mac = neighbor.MAC{} }), refused: reasonNoCard},
		"port of a bridge":     {device: nic(port), others: []device{master("bridge")}, refused: reasonPort("m0")},
		"port of a bond":       {device: nic(port), others: []device{master("bond")}, refused: reasonPort("m0")},
		"port of a team":       {device: nic(port), others: []device{master("team")}, refused: reasonPort("m0")},
		"port of OVS":          {device: nic(port), others: []device{master("openvswitch")}, refused: reasonPort("m0")},
		"port, down as well":   {device: nic(func(d *device) { d.master, d.up = 9, false }), others: []device{master("bond")}, refused: reasonPort("m0")},
		"port of one unseen":   {device: nic(port), refused: reasonLostMaster},
		"member of a VRF":      {device: nic(port), others: []device{master("vrf")}},
		"a bridge":             {device: nic(func(d *device) { d.kind = "bridge" })},
		"a team":               {device: nic(func(d *device) { d.kind = "team" })},
		"OVS internal":         {device: nic(func(d *device) { d.kind = "openvswitch" })},
		"a VRF itself":         {device: nic(func(d *device) { d.kind = "vrf" }), refused: reasonNotEther},
		"bond active-backup":   {device: nic(func(d *device) { d.kind, d.bondMode = "bond", "active-backup" })},
		"bond 802.3ad":         {device: nic(func(d *device) { d.kind, d.bondMode = "bond", "802.3ad" })},
		"bond balance-alb":     {device: nic(func(d *device) { d.kind, d.bondMode = "bond", "balance-alb" }), refused: reasonBalanceALB},
		"bond balance-tlb":     {device: nic(func(d *device) { d.kind, d.bondMode = "bond", "balance-tlb" }), refused: reasonBalanceALB},
		"VLAN on balance-alb":  {device: stacked("vlan"), others: []device{alb(0)}, refused: reasonBalanceALB},
		"macvlan on a VLAN":    {device: stacked("macvlan"), others: []device{alb(0), nic(func(d *device) { d.index, d.name, d.kind, d.parent = 7, "v0", "vlan", 8 })}, refused: reasonBalanceALB},
		"VXLAN on balance-alb": {device: stacked("vxlan"), others: []device{alb(0)}},
		"veth, peer's index":   {device: stacked("veth"), others: []device{alb(0)}},
		"bridge of a bond":     {device: nic(func(d *device) { d.kind = "bridge" }), others: []device{alb(2)}, refused: reasonBalanceALB},
		"bridge without it":    {device: nic(func(d *device) { d.kind = "bridge" }), others: []device{alb(0)}},
		"VLAN":                 {device: nic(func(d *device) { d.kind = "vlan" })},
		"macvlan":              {device: nic(func(d *device) { d.kind = "macvlan" })},
		"pod's cable":          {device: nic(func(d *device) { d.kind, d.peerElsewhere = "veth", true }), refused: "-"},
		"pod's cable, fe80":    {device: nic(func(d *device) { d.kind, d.peerElsewhere = "veth", true }), addr: "fe80::1/64", refused: "-"},
		"node that is a pod":   {device: nic(func(d *device) { d.kind, d.peerElsewhere = "veth", true }), addr: "192.0.2.1/24"},
		"pod's cable, bridged": {device: nic(func(d *device) { d.name, d.kind, d.peerElsewhere, d.master = "veth1a2b3c4d", "veth", true, 9 }), others: []device{master("bridge")}, refused: "-"},
		"pod's cable, OVS":     {device: nic(func(d *device) { d.name, d.kind, d.peerElsewhere, d.master = "coredns-1a2b3c", "veth", true, 9 }), others: []device{master("openvswitch")}, refused: "-"},
		"pod's cable, down":    {device: nic(func(d *device) { d.name, d.kind, d.peerElsewhere, d.up = "cali1a2b3c4d5e6", "veth", true, false }), refused: "-"},
		"pod's cable, on AWS":  {device: nic(func(d *device) { d.name, d.kind, d.peerElsewhere, d.up = "eni1a2b3c4d5e6", "veth", true, false }), refused: "-"},
		"pod's netkit":         {device: nic(func(d *device) { d.name, d.kind, d.arp = "lxc1a2b3c4d5e6f", "netkit", false }), refused: "-"},
		"virtual machine's":    {device: nic(func(d *device) { d.name, d.kind, d.master = "tap3", "tuntap", 9 }), others: []device{master("bridge")}, refused: "-"},
		"a caller's":           {device: nic(func(d *device) { d.name, d.kind, d.ethernet = "ppp3", "ppp", false }), refused: "-"},
		"card of a container":  {device: nic(func(d *device) { d.kind, d.peerElsewhere, d.master = "veth", true, 9 }), others: []device{master("bridge")}, refused: reasonPort("m0")},
		"cable in a bond":      {device: nic(func(d *device) { d.name, d.kind, d.peerElsewhere, d.master = "uplink", "veth", true, 9 }), others: []device{master("bond")}, refused: reasonPort("m0")},
		"veth within the node": {device: nic(func(d *device) { d.kind = "veth" })},
	} {
		t.Run(name, func(t *testing.T) {
			k := kernel{links: append([]device{tc.device}, tc.others...)}
			if tc.addr != "" {
				k.addrs = []address{{index: 2, prefix: netip.MustParsePrefix(tc.addr)}}
			}
			s := judge(k)
			_, accepted := s.Find(tc.device.name)
			reason := ""
			for _, r := range s.Refused {
				if r.Name == tc.device.name {
					reason = r.Reason
				}
			}
			if !accepted && reason == "" {
				reason = "-"
			}
			if accepted == (reason != "") || reason != tc.refused {
				t.Errorf("accepted %v, refused for %q; want %q", accepted, reason, tc.refused)
			}
		})
	}
}

func TestAddressesOfAnInterface(t *testing.T) {
	on := func(s string, change func(*address)) address {
		a := address{index: 2, prefix: netip.MustParsePrefix(s)}
		if change != nil {
			change(&a)
		}
		return a
	}
	secondary := func(a *address) { a.secondary = true }
	tentative := func(a *address) { a.tentative = true }
	s := judge(kernel{links: []device{nic(func(d *device) { d.forwarding6 = true })}, addrs: []address{
		on("192.0.2.9/24", secondary), on("192.0.2.7/24", nil), on("198.51.100.7/25", nil), on("169.254.1.1/16", nil),
		on("fe80::9/64", tentative), on("fe80::7/64", nil), on("fe80::8/64", nil),
		on("2001:db8::7/64", nil), on("2001:db8::8/64", tentative), on("2001:db8::9/64", secondary),
		{index: 3, prefix: netip.MustParsePrefix("203.0.113.1/24")},
	}})
	want := Snapshot{Interfaces: []Interface{{
		Name: "eth0", Index: 2, MAC: card, MTU: 1500, Router: true,
		Prefixes: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("192.0.2.9/24"),
			netip.MustParsePrefix("198.51.100.7/25"), netip.MustParsePrefix("2001:db8::7/64"),
		},
		IPv4: netip.MustParseAddr("192.0.2.7"), LinkLocal: netip.MustParseAddr("fe80::7"),
	}}}
	if diff := cmp.Diff(want, s, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	facts := s.Facts("v1")
	if facts.Version != "v1" || len(facts.Interfaces) != 1 || facts.Interfaces[0].MAC != "02:00:5e:00:53:01" ||
		!cmp.Equal(facts.Interfaces[0].Prefixes, []string{"192.0.2.7/24", "192.0.2.9/24", "198.51.100.7/25", "2001:db8::7/64"}) {
		t.Errorf("facts %+v", facts)
	}
}

// noHop is the gateway of a route that has none.
var noHop netip.Addr

func TestDefaultRoutes(t *testing.T) {
	eth1 := nic(func(d *device) { d.index, d.name = 3, "eth1" })
	inVRF := nic(func(d *device) { d.index, d.name, d.master = 4, "eth2", 9 })
	for name, tc := range map[string]struct {
		routes []defaultRoute
		want4  []string
		want6  []string
	}{
		"none":                {},
		"one":                 {routes: []defaultRoute{{2, true, mainTable, 0, noHop}}, want4: []string{"eth0"}},
		"the better":          {routes: []defaultRoute{{3, true, mainTable, 600, noHop}, {2, true, mainTable, 100, noHop}}, want4: []string{"eth0"}},
		"the better, first":   {routes: []defaultRoute{{2, true, mainTable, 100, noHop}, {3, true, mainTable, 600, noHop}}, want4: []string{"eth0"}},
		"two alike":           {routes: []defaultRoute{{2, false, mainTable, 1024, noHop}, {3, false, mainTable, 1024, noHop}}, want6: []string{"eth0", "eth1"}},
		"families apart":      {routes: []defaultRoute{{2, true, mainTable, 0, noHop}, {3, false, mainTable, 9, noHop}}, want4: []string{"eth0"}, want6: []string{"eth1"}},
		"policy routing":      {routes: []defaultRoute{{3, true, 1001, 0, noHop}, {2, true, mainTable, 50, noHop}}, want4: []string{"eth0"}},
		"a VRF's own":         {routes: []defaultRoute{{2, true, mainTable, 0, noHop}, {4, true, 1009, 100, noHop}}, want4: []string{"eth0", "eth2"}},
		"a VRF, not its main": {routes: []defaultRoute{{4, true, mainTable, 0, noHop}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := judge(kernel{links: []device{nic(nil), eth1, inVRF, master("vrf")}, routes: tc.routes})
			var got4, got6 []string
			for _, i := range s.Interfaces {
				if i.DefaultRoute4 {
					got4 = append(got4, i.Name)
				}
				if i.DefaultRoute6 {
					got6 = append(got6, i.Name)
				}
			}
			if !cmp.Equal(got4, tc.want4) || !cmp.Equal(got6, tc.want6) {
				t.Errorf("IPv4 %v, IPv6 %v; want %v, %v", got4, got6, tc.want4, tc.want6)
			}
		})
	}
}

func addrs(ss ...string) (as []netip.Addr) {
	for _, s := range ss {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func TestGatewaysAndNeighboursOfAnInterface(t *testing.T) {
	via := func(index int, is4 bool, table, priority int, addr string) defaultRoute {
		return defaultRoute{index, is4, table, priority, netip.MustParseAddr(addr)}
	}
	k := kernel{
		links: []device{nic(nil), nic(func(d *device) { d.index, d.name = 3, "eth1" })},
		routes: []defaultRoute{
			via(2, true, mainTable, 100, "192.0.2.254"), via(2, true, 1001, 0, "192.0.2.253"), via(3, true, mainTable, 0, "198.51.100.1"),
			via(2, true, 1002, 0, "192.0.2.254"), via(2, true, mainTable, 9, "fe80::2"), via(2, false, mainTable, 1024, "fe80::1"),
			{2, true, 1003, 0, noHop},
		},
	}
	for _, a := range addrs("192.0.2.9", "192.0.2.254", "192.0.2.5", "fe80::9", "fe80::1", "192.0.2.7", "192.0.2.6", "192.0.2.8", "192.0.2.5", "2001:db8::7") {
		k.neighs = append(k.neighs, neigh{2, a})
	}
	k.neighs = append(k.neighs, neigh{3, netip.MustParseAddr("198.51.100.9")})
	same := cmpopts.EquateComparable(netip.Addr{})
	for range 2 {
		i, _ := judge(k).Find("eth0")
		for what, got := range map[string][2][]netip.Addr{
			"IPv4 gateways": {addrs("192.0.2.253", "192.0.2.254"), i.Gateways4},
			"IPv6 gateways": {addrs("fe80::1", "fe80::2"), i.Gateways6},
			"neighbours":    {addrs("192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8", "2001:db8::7", "fe80::9"), i.Neighbors},
		} {
			if diff := cmp.Diff(got[0], got[1], same); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		slices.Reverse(k.routes)
		slices.Reverse(k.neighs)
	}
}

func TestNeighboursAloneAreNoChange(t *testing.T) {
	with := func(neighbor, gateway string) Snapshot {
		return Snapshot{Interfaces: []Interface{{Name: "eth0", Gateways4: addrs(gateway), Neighbors: addrs(neighbor)}}}
	}
	a := with("192.0.2.1", "192.0.2.254")
	if !a.Equal(with("192.0.2.2", "192.0.2.254")) {
		t.Error("another neighbour is a change")
	}
	if a.Equal(with("192.0.2.1", "192.0.2.253")) {
		t.Error("another gateway is none")
	}
	if a.Interfaces[0].Neighbors == nil {
		t.Error("comparing took the neighbours away")
	}
}

func TestEveryOrderGivesTheSameSnapshot(t *testing.T) {
	a, b := nic(nil), nic(func(d *device) { d.index, d.name = 3, "eth1" })
	down := nic(func(d *device) { d.index, d.name, d.up = 4, "eth2", false })
	if !judge(kernel{links: []device{a, b, down}}).Equal(judge(kernel{links: []device{down, b, a}})) {
		t.Error("the order of the links shows")
	}
}
