// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Local is an address of this node for which its kernel answers on the network by itself.
type Local struct {
	Addr netip.Addr
	// Interface has the address. It need not be one that can carry a VIP: kube-proxy in IPVS
	// mode puts all addresses of Services on the dummy kube-ipvs0.
	Interface string
	// On are the interfaces that can carry a VIP and on which the kernel answers for it. It is
	// shared between Locals, and not to be changed.
	On []string
}

// The values of arp_ignore (Documentation/networking/ip-sysctl.rst) that matter here. By all
// others the kernel answers for every address it has, whatever the interface.
const (
	ignoreOthers       = 1 // answers only for addresses of the interface that was asked on
	ignoreOthersSubnet = 2 // the same, and only to askers of its subnet
	ignoreAll          = 8
)

// locals finds the addresses for which the kernel answers on an interface that can carry a VIP.
// By IPv6 it answers only for those of the interface that is asked on: it is in the
// solicited-node group of no others.
func locals(k kernel, on []Interface, ignore func(name string) int) []Local {
	byIndex := map[int]device{}
	for _, d := range k.links {
		byIndex[d.index] = d
	}
	vrf := func(index int) int {
		if m := byIndex[byIndex[index].master]; m.kind == "vrf" {
			return m.index
		}
		return 0
	}
	ignores := map[string]int{}
	for _, i := range on {
		ignores[i.Name] = ignore(i.Name)
	}
	shared := map[string][]string{} // by family and device
	answering := func(a address) []string {
		var names []string
		for _, i := range on {
			own := i.Index == a.index
			switch {
			case a.prefix.Addr().Is6():
				if own {
					names = append(names, i.Name)
				}
			case vrf(i.Index) != vrf(a.index), ignores[i.Name] == ignoreAll:
			case own || ignores[i.Name] != ignoreOthers && ignores[i.Name] != ignoreOthersSubnet:
				names = append(names, i.Name)
			}
		}
		return names
	}
	var ls []Local
	for _, a := range k.addrs {
		addr, d := a.prefix.Addr(), byIndex[a.index]
		if a.tentative || addr.IsLoopback() || addr.IsLinkLocalUnicast() || d.name == "" {
			continue
		}
		key := d.name + strconv.FormatBool(addr.Is6())
		names, known := shared[key]
		if !known {
			names = answering(a)
			shared[key] = names
		}
		if len(names) > 0 {
			ls = append(ls, Local{Addr: addr, Interface: d.name, On: names})
		}
	}
	slices.SortFunc(ls, func(a, b Local) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Interface, b.Interface)) })
	return ls
}

// sameLocals compares what locals gave.
func sameLocals(a, b []Local) bool {
	return slices.EqualFunc(a, b, func(a, b Local) bool {
		return a.Addr == b.Addr && a.Interface == b.Interface && slices.Equal(a.On, b.On)
	})
}

// arpIgnore reads the sysctl in force on an interface: the higher of its own and that of "all".
// Its changes are not told by netlink.
func arpIgnore(name string) int {
	value := 0
	for _, n := range []string{"all", name} {
		b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", filepath.Base(n), "arp_ignore"))
		if err != nil {
			continue
		}
		if v, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			value = max(value, v)
		}
	}
	return value
}
