// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestTopologyNamesTheSameHostEverywhere(t *testing.T) {
	hosts := topology(3, 2, 1)
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	if got, want := strings.Join(names, " "), "control-plane node1 node2 node3 gateway client1 client2"; got != want {
		t.Errorf("hosts %q, want %q", got, want)
	}
	node := hosts[2]
	if node.IPv4.String() != "192.168.77.12" || node.IPv6.String() != "fd00:77::12" || node.MAC != "02:77:00:00:00:12" ||
		node.ManagementIPv4.String() != "198.18.77.12" || node.ManagementIPv6.String() != "fd00:78::12" {
		t.Errorf("node2: %+v", node)
	}
	if got := node.PodCIDRs[1].String(); got != "fd44:0:0:2::/64" {
		t.Errorf("node2's IPv6 pods are in %s", got)
	}
}

func TestTopologyOfEverySizeIsUnique(t *testing.T) {
	seen := map[string]string{}
	claim := func(what string, by Host) {
		if other, taken := seen[what]; taken {
			t.Errorf("%s is of %s and of %s", what, other, by.Name)
		}
		seen[what] = by.Name
	}
	for _, h := range topology(maxNodes, maxClients, 2) {
		claim(h.Name, h)
		claim(h.Namespace, h)
		if (h.Second == nil) != (h.Role == RoleControlPlane) {
			t.Errorf("%s: on the second LAN with %+v", h.Name, h.Second)
		}
		if h.Second == nil {
			h.Second = &Card{}
		}
		for _, a := range []netip.Addr{h.IPv4, h.IPv6, h.Second.IPv4, h.Second.IPv6, h.ManagementIPv4, h.ManagementIPv6} {
			if a.IsValid() {
				claim(a.String(), h)
			}
		}
		for _, m := range []string{h.MAC, h.Second.MAC, h.ManagementMAC} {
			if m == "" {
				continue
			}
			claim(m, h)
			if parsed, err := net.ParseMAC(m); err != nil || parsed[0]&3 != 2 {
				t.Errorf("%s: MAC %s is not a locally administered unicast address (%v)", h.Name, m, err)
			}
		}
		for _, p := range h.PodCIDRs {
			claim(p.String(), h)
			if !netip.MustParsePrefix(podCIDR4).Contains(p.Addr()) && !netip.MustParsePrefix(podCIDR6).Contains(p.Addr()) {
				t.Errorf("%s: pods in %s, outside the cluster's", h.Name, p)
			}
		}
		for _, port := range []string{h.lanPort(), h.secondPort(), h.managementPort()} {
			if len(port) > 15 {
				t.Errorf("%s: the kernel takes no interface name as long as %s", h.Name, port)
			}
		}
	}
}

func TestHostJSON(t *testing.T) {
	b, err := json.Marshal(topology(1, 1, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"control-plane"`, `"namespace":"arpeggio-lab-control-plane"`, `"ipv4":""`, `"managementIPv4":"198.18.77.2"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s lacks %s", b, want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Nodes: -1}, {Nodes: maxNodes + 1}, {Clients: -1}, {Clients: maxClients + 1}, {LANs: 3}, {LANs: -1}, {Fabric: "ring"}} {
		if o.Validate() == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if o := (Options{}).withDefaults(); o.Nodes != 3 || o.Clients != 1 || o.LANs != 1 || o.Fabric != Switched || o.Validate() != nil {
		t.Errorf("defaults: %+v", o)
	}
}
