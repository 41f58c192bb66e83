// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net/netip"
)

// createSwitch makes the namespace with its bridges, and the machine's own link to the management network.
func createSwitch(ctx context.Context) error {
	for _, module := range []string{"br_netfilter", "overlay"} {
		// Where it is built in, or loaded when used, this may fail; where it is missing, what needs it says so.
		_, _ = run(ctx, "modprobe", module)
	}
	if err := createNamespace(ctx, SwitchNamespace, switchSysctls()); err != nil {
		return err
	}
	root4, root6 := address4(Management4, 1), address6(Management6, 1)
	err := ipBatch(ctx, SwitchNamespace,
		"link set lo up",
		"link add "+LANBridge+" type bridge forward_delay 0 mcast_snooping 0",
		"link add "+ManagementBridge+" type bridge forward_delay 0 mcast_snooping 0",
		"link add "+SecondLANBridge+" type bridge forward_delay 0 mcast_snooping 0",
		"link set "+LANBridge+" up",
		"link set "+SecondLANBridge+" up",
		"link set "+ManagementBridge+" up",
	)
	if err != nil {
		return err
	}
	const port = ManagementBridge + "-root"
	for _, args := range [][]string{
		{"link", "add", rootInterface, "address", hardwareAddress("02:78", 1), "type", "veth", "peer", "name", port, "netns", SwitchNamespace},
		{"-n", SwitchNamespace, "link", "set", port, "master", ManagementBridge, "up"},
		{"address", "add", prefix(root4, Management4), "dev", rootInterface},
		{"address", "add", prefix(root6, Management6), "dev", rootInterface, "nodad"},
		{"link", "set", rootInterface, "up"},
	} {
		if _, err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// createHost makes a host's namespace, its links and its addresses. others are all hosts: a node has a route to each
// other node's pods, and so has the control plane. Where the namespace exists, it is removed first: what was in it
// (addresses, rules of nftables, connections) is gone, as after a reboot.
func createHost(ctx context.Context, h Host, others []Host) error {
	if err := deleteHost(ctx, h); err != nil {
		return err
	}
	if err := createNamespace(ctx, h.Namespace, hostSysctls(h.Role)); err != nil {
		return err
	}
	var inSwitch []string
	inHost := []string{"link set lo up"}
	if h.Interface != "" {
		inSwitch = append(inSwitch, attach(h.lanPort(), h.Interface, h.MAC, h.Namespace, LANBridge)...)
		inHost = append(inHost, address(h.Interface, h.IPv4, LAN4, h.IPv6, LAN6)...)
		if h.Role != RoleGateway {
			inHost = append(inHost,
				fmt.Sprintf("route add default via %s", address4(LAN4, 1)),
				fmt.Sprintf("route add ::/0 via %s", address6(LAN6, 1)))
		}
	}
	if c := h.Second; c != nil {
		inSwitch = append(inSwitch, attach(h.secondPort(), c.Interface, c.MAC, h.Namespace, SecondLANBridge)...)
		inHost = append(inHost, address(c.Interface, c.IPv4, SecondLAN4, c.IPv6, SecondLAN6)...)
	}
	if h.ManagementInterface != "" {
		inSwitch = append(inSwitch, attach(h.managementPort(), h.ManagementInterface, h.ManagementMAC, h.Namespace, ManagementBridge)...)
		inHost = append(inHost, address(h.ManagementInterface, h.ManagementIPv4, Management4, h.ManagementIPv6, Management6)...)
		for _, o := range others {
			if o.Role == RoleNode && o.Name != h.Name {
				inHost = append(inHost,
					fmt.Sprintf("route add %s via %s", o.PodCIDRs[0], o.ManagementIPv4),
					fmt.Sprintf("route add %s via %s", o.PodCIDRs[1], o.ManagementIPv6))
			}
		}
	}
	if err := ipBatch(ctx, SwitchNamespace, inSwitch...); err != nil {
		return err
	}
	return ipBatch(ctx, h.Namespace, inHost...)
}

// deleteHost removes a host's namespace and links; nothing must run there. A host that is not there is no error.
func deleteHost(ctx context.Context, h Host) error {
	if !namespaceExists(h.Namespace) {
		return nil
	}
	// The kernel clears a deleted namespace some time later; the links are removed here, so that their names are free.
	for _, port := range []string{h.lanPort(), h.secondPort(), h.managementPort()} {
		if _, err := run(ctx, "ip", "-n", SwitchNamespace, "link", "show", port); err != nil {
			continue // no such link
		}
		if err := ipBatch(ctx, SwitchNamespace, "link delete "+port); err != nil {
			return err
		}
	}
	return deleteNamespace(ctx, h.Namespace)
}

// attach makes a veth pair: port on the bridge's side, device in the host.
func attach(port, device, mac, namespace, bridge string) []string {
	return []string{
		fmt.Sprintf("link add %s type veth peer name %s address %s netns %s", port, device, mac, namespace),
		fmt.Sprintf("link set %s master %s up", port, bridge),
	}
}

func address(device string, v4 netip.Addr, net4 netip.Prefix, v6 netip.Addr, net6 netip.Prefix) []string {
	return []string{
		fmt.Sprintf("link set %s up", device),
		fmt.Sprintf("address add %s dev %s", prefix(v4, net4), device),
		fmt.Sprintf("address add %s dev %s nodad", prefix(v6, net6), device),
	}
}

// prefix writes an address with the length of its network.
func prefix(a netip.Addr, network netip.Prefix) string {
	return netip.PrefixFrom(a, network.Bits()).String()
}
