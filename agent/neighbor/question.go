// SPDX-License-Identifier: Apache-2.0

package neighbor

import "net/netip"

// Form is how the asker shows itself in an ARP question. Some networks drop the one form,
// some answer the other on the owner's behalf, so repeats take turns.
type Form uint8

const (
	// OwnAddress asks with an address of the node, as any host does.
	OwnAddress Form = iota
	// ZeroSender asks with the sender 0.0.0.0 (RFC 5227 section 2.1.1), the form no
	// suppressing switch answers when it is sent by unicast.
	ZeroSender
)

// Question builds a frame that asks who speaks for an address: for everyone if to is
// Broadcast(), else for that card. Of the mark only epoch, standing and nonce are taken.
// By IPv6 the question has one form, from the link-local address: one without an address
// would have its answer sent to all nodes. It goes to the solicited-node group even when
// one card gets it (RFC 6085): sent to the address itself, a card whose node does not have
// it would forward it.
// False: the node has no address to ask with in this form.
func Question(self Self, addr netip.Addr, to MAC, form Form, m Mark) (frame []byte, ok bool) {
	addr = addr.Unmap().WithZone("")
	m.Kind, m.Cluster, m.Incarnation = MarkQuestion, self.Cluster, self.Incarnation
	if addr.Is4() {
		sender := netip.IPv4Unspecified()
		if form == OwnAddress {
			sender = self.IPv4.Unmap()
		}
		if !sender.Is4() {
			return nil, false
		}
		frame = appendARP(nil, to, arpPacket{
			op: arpRequest, senderMAC: self.MAC, sender: sender, target: addr,
		})
		return AppendMark(frame, m, addr, self.MAC), true
	}
	if !addr.Is6() || !self.LinkLocal.Is6() {
		return nil, false
	}
	group := SolicitedNode(addr)
	if to == Broadcast() {
		to = groupMAC(group.As16())
	}
	return appendNDP(nil, ndpFrame{
		to: to, card: self.MAC, src: self.LinkLocal.WithZone(""), dst: group,
		typ: ndpSolicit, target: addr, linkOption: optionSource,
	}, m), true
}
