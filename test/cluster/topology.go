// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/netip"
)

// Role says what a host is for.
type Role string

const (
	// RoleNode is a Kubernetes node: on the LAN and on the management network.
	RoleNode Role = "node"
	// RoleClient is a plain machine on the LAN.
	RoleClient Role = "client"
	// RoleGateway is the LAN's router, the default route of nodes and clients.
	RoleGateway Role = "gateway"
	// RoleControlPlane runs etcd and the Kubernetes control plane, on the management network only.
	RoleControlPlane Role = "control-plane"
)

const (
	// ControlPlane is the name of the host that runs the control plane.
	ControlPlane = "control-plane"
	// Gateway is the name of the LAN's router.
	Gateway = "gateway"
	// SwitchNamespace is the network namespace of both bridges. It has no addresses.
	SwitchNamespace = namespacePrefix + "switch"
	// LANBridge is the name of the LAN's bridge in [SwitchNamespace].
	LANBridge = "lan"
	// ManagementBridge is the name of the management network's bridge there.
	ManagementBridge = "mgmt"
	// LANInterface is the name a host knows its link to the LAN by.
	LANInterface = "eth0"
	// SecondLANBridge is the name of the second LAN's bridge there, in use with two of [Options].LANs.
	SecondLANBridge = "lan2"
	// SecondLANInterface is the name a host knows its link to the second LAN by.
	SecondLANInterface = "eth1"
	// ManagementInterface is the name a host knows its link to the management network by.
	ManagementInterface = "mgmt0"

	// rootInterface gives the machine itself an address on the management network, so that it reaches the API server.
	rootInterface   = "arpeggio-lab"
	namespacePrefix = "arpeggio-lab-"

	maxNodes   = 50
	maxClients = 50
)

// The networks. The LAN stands outside 10.0.0.0/8, which Kubernetes' own load balancer tests take for addresses inside
// the cluster; management uses RFC 2544's benchmarking range, which no real network routes.
var (
	LAN4        = netip.MustParsePrefix("192.168.77.0/24")
	LAN6        = netip.MustParsePrefix("fd00:77::/64")
	SecondLAN4  = netip.MustParsePrefix("192.168.78.0/24")
	SecondLAN6  = netip.MustParsePrefix("fd00:79::/64")
	Management4 = netip.MustParsePrefix("198.18.77.0/24")
	Management6 = netip.MustParsePrefix("fd00:78::/64")
)

const (
	podCIDR4     = "10.244.0.0/16"
	podCIDR6     = "fd44::/48"
	serviceCIDR4 = "10.96.0.0/16"
	serviceCIDR6 = "fd96::/112"
	// serviceAPI is the first address of serviceCIDR4, which Kubernetes gives to the Service kubernetes.default.
	serviceAPI = "10.96.0.1"
	clusterDNS = "10.96.0.10"
	apiPort    = 6443
)

// State says whether a host runs.
type State string

const (
	// Running means that the host's processes run; a client and the gateway have none of their own and always run.
	Running State = "up"
	// Crashed means that nothing runs on the host: it was crashed or stopped, or died.
	Crashed State = "crashed"
)

// Host is one machine of the cluster. Addresses it does not have are the zero netip.Addr.
type Host struct {
	Name      string `json:"name"`
	Role      Role   `json:"role"`
	Namespace string `json:"namespace"`
	// Interface is the host's name for its link to the LAN, MAC that link's address.
	Interface string     `json:"interface,omitempty"`
	MAC       string     `json:"mac,omitempty"`
	IPv4      netip.Addr `json:"ipv4"`
	IPv6      netip.Addr `json:"ipv6"`

	// Second is the host's link to the second LAN; nil where it has none. No default route leads there.
	Second *Card `json:"second,omitempty"`

	ManagementInterface string     `json:"managementInterface,omitempty"`
	ManagementMAC       string     `json:"managementMAC,omitempty"`
	ManagementIPv4      netip.Addr `json:"managementIPv4"`
	ManagementIPv6      netip.Addr `json:"managementIPv6"`

	// PodCIDRs are a node's own pod subnets, IPv4 first.
	PodCIDRs []netip.Prefix `json:"podCIDRs,omitempty"`
	// State is filled in by [Cluster.Status]; elsewhere it is empty.
	State State `json:"state,omitempty"`

	number, suffix int
}

// Card is a host's link to a LAN.
type Card struct {
	Interface string     `json:"interface"`
	MAC       string     `json:"mac"`
	IPv4      netip.Addr `json:"ipv4"`
	IPv6      netip.Addr `json:"ipv6"`
}

// lanPort, secondPort and managementPort name the bridge's side of the host's links.
func (h Host) lanPort() string        { return h.port(LANBridge) }
func (h Host) secondPort() string     { return h.port(SecondLANBridge) }
func (h Host) managementPort() string { return h.port(ManagementBridge) }

// port is at most 15 characters long, as the kernel wants it.
func (h Host) port(bridge string) string {
	if h.Role == RoleControlPlane {
		return bridge + "-control"
	}
	return bridge + "-" + h.Name
}

// topology lists the hosts of a cluster of the given size: the control plane, the nodes, the gateway, the clients. All but
// the first are on each of the LANs, of which there are one or two.
func topology(nodes, clients, lans int) []Host {
	hosts := []Host{newHost(ControlPlane, RoleControlPlane, 2, 0)}
	for i := range nodes {
		hosts = append(hosts, newHost(fmt.Sprintf("node%d", i+1), RoleNode, 11+i, i+1))
	}
	hosts = append(hosts, newHost(Gateway, RoleGateway, 1, 0))
	for i := range clients {
		hosts = append(hosts, newHost(fmt.Sprintf("client%d", i+1), RoleClient, 101+i, i+1))
	}
	for i := range hosts {
		if h := &hosts[i]; lans > 1 && h.Interface != "" {
			suffix := h.suffix
			h.Second = &Card{SecondLANInterface, hardwareAddress("02:79", suffix), address4(SecondLAN4, suffix), address6(SecondLAN6, suffix)}
		}
	}
	return hosts
}

// newHost fixes a host's addresses: suffix is the last part of each of them, written in decimal digits also in IPv6 and
// MAC addresses, so that 192.168.77.11, fd00:77::11 and 02:77:00:00:00:11 are the same host.
func newHost(name string, role Role, suffix, number int) Host {
	h := Host{Name: name, Role: role, Namespace: namespacePrefix + name, number: number, suffix: suffix}
	if role != RoleControlPlane {
		h.Interface = LANInterface
		h.MAC = hardwareAddress("02:77", suffix)
		h.IPv4, h.IPv6 = address4(LAN4, suffix), address6(LAN6, suffix)
	}
	if role == RoleNode || role == RoleControlPlane {
		h.ManagementInterface = ManagementInterface
		h.ManagementMAC = hardwareAddress("02:78", suffix)
		h.ManagementIPv4, h.ManagementIPv6 = address4(Management4, suffix), address6(Management6, suffix)
	}
	if role == RoleNode {
		h.PodCIDRs = []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", number)),
			netip.MustParsePrefix(fmt.Sprintf("fd44:0:0:%d::/64", number)),
		}
	}
	return h
}

func address4(p netip.Prefix, suffix int) netip.Addr {
	b := p.Addr().As4()
	b[3] = byte(suffix)
	return netip.AddrFrom4(b)
}

func address6(p netip.Prefix, suffix int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("%s%d", p.Addr(), suffix))
}

func hardwareAddress(prefix string, suffix int) string {
	return fmt.Sprintf("%s:00:00:%02d:%02d", prefix, suffix/100, suffix%100)
}
