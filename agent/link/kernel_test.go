// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"slices"
	"testing"
)

func TestForWhatTheKernelAnswers(t *testing.T) {
	eth0 := nic(nil)
	eth1 := nic(func(d *device) { d.index, d.name = 3, "eth1" })
	ipvs := nic(func(d *device) { d.index, d.name, d.kind, d.arp, d.up = 5, "kube-ipvs0", "dummy", false, false })
	lo := nic(func(d *device) { d.index, d.name, d.loopback = 1, "lo", true })
	inVRF := nic(func(d *device) { d.index, d.name, d.master = 6, "eth2", 9 })
	for name, tc := range map[string]struct {
		addr   string
		index  int
		flag   func(*address)
		ignore int
		want   []string
	}{
		"on its own interface":         {addr: "192.0.2.240/24", index: 2, want: []string{"eth0", "eth1"}},
		"its own, arp_ignore 1":        {addr: "192.0.2.240/24", index: 2, ignore: 1, want: []string{"eth0"}},
		"IPVS":                         {addr: "192.0.2.240/32", index: 5, want: []string{"eth0", "eth1"}},
		"IPVS, strictARP":              {addr: "192.0.2.240/32", index: 5, ignore: 1},
		"IPVS, arp_ignore 2":           {addr: "192.0.2.240/32", index: 5, ignore: 2},
		"IPVS, arp_ignore 3":           {addr: "192.0.2.240/32", index: 5, ignore: 3, want: []string{"eth0", "eth1"}},
		"IPVS, arp_ignore 8":           {addr: "192.0.2.240/32", index: 5, ignore: 8},
		"a /32 on lo":                  {addr: "192.0.2.240/32", index: 1, want: []string{"eth0", "eth1"}},
		"loopback":                     {addr: "127.0.0.1/8", index: 1},
		"link-local":                   {addr: "fe80::1/64", index: 2},
		"in a VRF":                     {addr: "192.0.2.240/24", index: 6, want: []string{"eth2"}},
		"IPv6 on its own interface":    {addr: "2001:db8::f0/64", index: 3, ignore: 1, want: []string{"eth1"}},
		"IPv6 on IPVS":                 {addr: "2001:db8::f0/128", index: 5},
		"IPv6 on lo":                   {addr: "2001:db8::f0/128", index: 1},
		"IPv6, not found to be unique": {addr: "2001:db8::f0/64", index: 3, flag: func(a *address) { a.tentative = true }},
	} {
		t.Run(name, func(t *testing.T) {
			a := address{index: tc.index, prefix: netip.MustParsePrefix(tc.addr)}
			if tc.flag != nil {
				tc.flag(&a)
			}
			k := kernel{links: []device{lo, eth0, eth1, ipvs, inVRF, master("vrf")}, addrs: []address{a}}
			got := locals(k, judge(k).Interfaces, func(string) int { return tc.ignore })
			if len(tc.want) == 0 {
				if len(got) != 0 {
					t.Errorf("answers: %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Addr != a.prefix.Addr() || !slices.Equal(got[0].On, tc.want) || !sameLocals(got, got) {
				t.Errorf("got %+v, want on %v", got, tc.want)
			}
		})
	}
}
