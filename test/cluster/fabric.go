// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// Fabric is how frames get from one host of the (first) LAN to another.
type Fabric string

const (
	// Switched is one bridge, on which everybody hears everybody.
	Switched Fabric = "switched"
	// Isolated is one bridge whose ports of nodes are isolated (private VLAN): a node hears clients and the gateway, and
	// no other node.
	Isolated Fabric = "isolated"
	// Suppressing is two bridges joined by VXLAN (RFC 7348), whose ports to each other suppress ARP and Neighbor
	// Discovery (RFC 7432 section 10): gratuitous ARP does not pass, and what the fabric was taught ([Cluster.Teach]) it
	// answers itself, also for a host that is dead. Every second node (node2, node4 ...) stands at the far bridge.
	Suppressing Fabric = "suppressing"
)

// Fabrics lists them all.
func Fabrics() []Fabric { return []Fabric{Switched, Isolated, Suppressing} }

const (
	// FarBridge is the bridge of a suppressing fabric to which every second node is joined, in [SwitchNamespace].
	FarBridge = "far"

	fabricBridge = "fabric"
	fabricTunnel = "vxlan"
	// A tunnel adds 50 octets to a frame (RFC 7348 section 4.3).
	underlayMTU = "1600"
	tunnelMTU   = "1500"
)

// SetFabric makes the LAN of the running cluster one of that kind. It also holds for nodes that are restored later.
func (c *Cluster) SetFabric(ctx context.Context, f Fabric) error {
	if !slices.Contains(Fabrics(), f) {
		return fmt.Errorf("unknown fabric %q: want one of %v", f, Fabrics())
	}
	unlock, err := lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := readState()
	if err != nil {
		return err
	}
	s.Fabric = f
	if err := s.write(); err != nil {
		return err
	}
	if err := wire(ctx, c.hosts, f); err != nil {
		return fmt.Errorf("making the LAN %s: %w", f, err)
	}
	c.report.step("the LAN is %s", f)
	return nil
}

// createHost makes a host anew, on a LAN of the kind that is recorded.
func (c *Cluster) createHost(ctx context.Context, h Host) error {
	if err := createHost(ctx, h, c.hosts); err != nil {
		return err
	}
	s, err := readState()
	if err != nil {
		return err
	}
	return plug(ctx, h, s.Fabric)
}

// wire gives the LAN its kind.
func wire(ctx context.Context, hosts []Host, f Fabric) error {
	if f == Suppressing {
		if err := createTunnel(ctx); err != nil {
			return err
		}
	}
	for _, h := range hosts {
		if err := plug(ctx, h, f); err != nil {
			return err
		}
	}
	if f != Suppressing {
		return deleteTunnel(ctx)
	}
	return nil
}

// plug joins a node's port to the bridge where it belongs.
func plug(ctx context.Context, h Host, f Fabric) error {
	if h.Role != RoleNode {
		return nil
	}
	bridge, isolated := LANBridge, "off"
	switch {
	case f == Suppressing && h.number%2 == 0:
		bridge = FarBridge
	case f == Isolated:
		isolated = "on"
	}
	if err := ipBatch(ctx, SwitchNamespace, "link set "+h.lanPort()+" master "+bridge); err != nil {
		return err
	}
	_, err := run(ctx, "bridge", "-n", SwitchNamespace, "link", "set", "dev", h.lanPort(), "isolated", isolated)
	return err
}

// leaf is one end of the suppressing fabric: a bridge in a namespace of its own, joined to one bridge of the switch by a
// cable, so that a capture there hears also what the leaf answers, and to the other leaf by VXLAN.
type leaf struct{ namespace, bridge, cable, address string }

var (
	nearLeaf = leaf{namespacePrefix + "leaf-near", LANBridge, "cable-near", "198.18.79.1"}
	farLeaf  = leaf{namespacePrefix + "leaf-far", FarBridge, "cable-far", "198.18.79.2"}
)

// createTunnel makes the far bridge and the fabric between it and the LAN's, if they are not there.
func createTunnel(ctx context.Context) error {
	if namespaceExists(farLeaf.namespace) {
		return nil
	}
	err := ipBatch(ctx, SwitchNamespace,
		"link add "+FarBridge+" type bridge forward_delay 0 mcast_snooping 0",
		"link set "+FarBridge+" up")
	if err != nil {
		return err
	}
	for _, l := range []leaf{nearLeaf, farLeaf} {
		if err := createNamespace(ctx, l.namespace, switchSysctls()); err != nil {
			return err
		}
	}
	if err := ipBatch(ctx, nearLeaf.namespace,
		"link add under mtu "+underlayMTU+" type veth peer name under mtu "+underlayMTU+" netns "+farLeaf.namespace); err != nil {
		return err
	}
	return errors.Join(nearLeaf.join(ctx, farLeaf), farLeaf.join(ctx, nearLeaf))
}

// join joins a leaf to its bridge and to the other leaf.
func (l leaf) join(ctx context.Context, other leaf) error {
	if err := ipBatch(ctx, SwitchNamespace,
		"link add "+l.cable+" type veth peer name cable netns "+l.namespace,
		"link set "+l.cable+" master "+l.bridge+" up"); err != nil {
		return err
	}
	if err := ipBatch(ctx, l.namespace,
		"link add "+fabricBridge+" type bridge forward_delay 0 mcast_snooping 0",
		"link set "+fabricBridge+" up",
		"link set cable master "+fabricBridge+" up",
		"address add "+l.address+"/30 dev under",
		"link set under up",
		"link add "+fabricTunnel+" mtu "+tunnelMTU+" type vxlan id 77 dstport 4789 local "+l.address+" remote "+other.address,
		"link set "+fabricTunnel+" master "+fabricBridge+" up"); err != nil {
		return err
	}
	_, err := run(ctx, "bridge", "-n", l.namespace, "link", "set", "dev", fabricTunnel, "neigh_suppress", "on")
	return err
}

func deleteTunnel(ctx context.Context) error {
	if !namespaceExists(farLeaf.namespace) {
		return nil
	}
	err := ipBatch(ctx, SwitchNamespace, "link delete "+nearLeaf.cable, "link delete "+farLeaf.cable, "link delete "+FarBridge)
	return errors.Join(err, deleteNamespace(ctx, nearLeaf.namespace), deleteNamespace(ctx, farLeaf.namespace))
}

// Teach lets a suppressing fabric know, as its control plane would, that an address is at a host: from then on the side
// on which the host does not stand answers for it. Whether the host lives is not asked. Forget undoes it.
func (c *Cluster) Teach(ctx context.Context, addr netip.Addr, host string) error {
	h, err := c.Host(host)
	if err != nil {
		return err
	}
	at := opposite(h).namespace
	if _, err := run(ctx, "bridge", "-n", at, "fdb", "replace", h.MAC, "dev", fabricTunnel, "master", "static"); err != nil {
		return err
	}
	return ipBatch(ctx, at, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", addr, h.MAC, fabricBridge))
}

// Forget lets a suppressing fabric no longer know where an address is.
func (c *Cluster) Forget(ctx context.Context, addr netip.Addr, host string) error {
	h, err := c.Host(host)
	if err != nil {
		return err
	}
	at := opposite(h).namespace
	if _, err := run(ctx, "bridge", "-n", at, "fdb", "delete", h.MAC, "dev", fabricTunnel, "master"); err != nil {
		return err
	}
	return ipBatch(ctx, at, fmt.Sprintf("neigh delete %s dev %s", addr, fabricBridge))
}

// opposite is the end of the fabric at which a host does not stand.
func opposite(h Host) leaf {
	if h.Role == RoleNode && h.number%2 == 0 {
		return nearLeaf
	}
	return farLeaf
}

// ProxyARP lets the gateway answer every ARP request on the LAN with its own card (RFC 1027), as some access networks
// do, or no longer. Neighbor Discovery has no such thing for addresses that are not listed.
func (c *Cluster) ProxyARP(ctx context.Context, on bool) error {
	h, err := c.Host(Gateway)
	if err != nil {
		return err
	}
	value := "0"
	if on {
		value = "1"
	}
	err = inNamespace(h.Namespace, func() error {
		for key, value := range map[string]string{
			"conf/" + h.Interface + "/proxy_arp": value,
			// Also for what is on the very LAN on which it is asked, and at once.
			"conf/" + h.Interface + "/proxy_arp_pvlan": value,
			"neigh/" + h.Interface + "/proxy_delay":    "0",
		} {
			if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv4", key), []byte(value), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		c.report.step("%s: proxy ARP %s (1 is on)", Gateway, value)
	}
	return err
}
