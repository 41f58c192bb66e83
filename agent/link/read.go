// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// readAttempts is how often a reading is repeated that a change interrupted.
const readAttempts = 5

// Read reads the picture of the calling goroutine's network namespace.
func Read() (Snapshot, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return Snapshot{}, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer h.Close()
	return read(h)
}

func read(h *netlink.Handle) (Snapshot, error) {
	var err error
	for range readAttempts {
		var k kernel
		if k, err = readKernel(h); err == nil {
			s := judge(k)
			s.Locals = locals(k, s.Interfaces, arpIgnore)
			return s, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return Snapshot{}, err
}

func readKernel(h *netlink.Handle) (kernel, error) {
	var k kernel
	links, err := h.LinkList()
	if err != nil {
		return kernel{}, fmt.Errorf("listing links: %w", err)
	}
	for _, l := range links {
		k.links = append(k.links, deviceOf(l))
	}
	addrs, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return kernel{}, fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok {
			k.addrs = append(k.addrs, address{
				index: a.LinkIndex, prefix: p,
				secondary: a.Flags&unix.IFA_F_SECONDARY != 0, // also IFA_F_TEMPORARY
				tentative: a.Flags&unix.IFA_F_DADFAILED != 0 ||
					a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC) == unix.IFA_F_TENTATIVE,
			})
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		err := h.RouteListFilteredIter(family, &netlink.Route{}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			k.routes = append(k.routes, defaultsOf(r, family == netlink.FAMILY_V4)...)
			return true
		})
		if err != nil {
			return kernel{}, fmt.Errorf("listing routes: %w", err)
		}
	}
	k.neighs = readNeighbors(h)
	return k, nil
}

// readNeighbors reads what there is: the picture is of use without neighbours, and a table
// that changes while it is read is no reason to begin again.
func readNeighbors(h *netlink.Handle) []neigh {
	var neighs []neigh
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		entries, _ := h.NeighList(0, family)
		for _, e := range entries {
			const alive = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY
			addr, ok := addrOf(e.IP)
			if ok && e.State&alive != 0 && len(e.HardwareAddr) == 6 && !addr.IsMulticast() {
				neighs = append(neighs, neigh{index: e.LinkIndex, addr: addr})
			}
		}
	}
	return neighs
}

// addrOf gives an address as netip has it, IPv4 as such.
func addrOf(ip net.IP) (netip.Addr, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok && !addr.IsUnspecified()
}

func deviceOf(l netlink.Link) device {
	a := l.Attrs()
	d := device{
		index: a.Index, master: a.MasterIndex, name: a.Name, kind: l.Type(), mtu: a.MTU,
		ethernet:      a.EncapType == "ether" && (len(a.HardwareAddr) == 6 || len(a.HardwareAddr) == 0), // none: all zero, as of a bridge without ports
		up:            a.RawFlags&unix.IFF_UP != 0,
		carrier:       a.RawFlags&unix.IFF_RUNNING != 0,
		loopback:      a.RawFlags&unix.IFF_LOOPBACK != 0,
		broadcast:     a.RawFlags&unix.IFF_BROADCAST != 0,
		arp:           a.RawFlags&unix.IFF_NOARP == 0,
		peerElsewhere: a.NetNsID >= 0, // the index of IFLA_LINK is of that namespace
		forwarding6:   forwarding6(a.Name),
	}
	if !d.peerElsewhere {
		d.parent = a.ParentIndex
	}
	if len(a.HardwareAddr) == len(d.mac) {
		d.mac = neighbor.MAC(a.HardwareAddr)
	}
	switch l := l.(type) {
	case *netlink.Bond:
		d.bondMode = l.Mode.String()
	case *netlink.Vrf:
		d.vrfTable = int(l.Table)
	}
	return d
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	p := netip.PrefixFrom(addr.Unmap(), bits)
	return p, ok && p.IsValid()
}

// defaultsOf gives the next hops of a default route; none of any other.
func defaultsOf(r netlink.Route, is4 bool) []defaultRoute {
	if r.Dst != nil {
		if bits, _ := r.Dst.Mask.Size(); bits != 0 {
			return nil
		}
	}
	if r.Type != unix.RTN_UNICAST {
		return nil
	}
	hops := r.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via}}
	}
	var ds []defaultRoute
	for _, h := range hops {
		ds = append(ds, defaultRoute{
			index: h.LinkIndex, is4: is4, table: r.Table, priority: r.Priority, via: gatewayOf(h),
		})
	}
	return ds
}

// gatewayOf gives the address of a next hop, invalid if it has none: a route by a device
// alone.
func gatewayOf(h *netlink.NexthopInfo) netip.Addr {
	if via, ok := h.Via.(*netlink.Via); ok {
		addr, _ := addrOf(via.Addr)
		return addr
	}
	addr, ok := addrOf(h.Gw)
	if !ok {
		return netip.Addr{}
	}
	return addr
}

// forwarding6 reads the sysctl; a node without IPv6 forwards none. Its changes are told by
// netlink.
func forwarding6(name string) bool {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", filepath.Base(name), "forwarding"))
	return err == nil && !bytes.Equal(bytes.TrimSpace(b), []byte("0"))
}
