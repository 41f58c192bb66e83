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

// Question builds a frame that asks who speaks for an address: Word with the kind
// MarkQuestion.
func Question(self Self, addr netip.Addr, to MAC, form Form, m Mark) (frame []byte, ok bool) {
	m.Kind = MarkQuestion
	return Word(self, addr, to, form, m)
}

// Word builds a frame by which an agent says something about an address without claiming
// it: of the kinds MarkQuestion, MarkVouch and MarkLeaving, for everyone if to is
// Broadcast(), else for that card. Of the mark kind, epoch, standing, flags and nonce are
// taken. The form is always that of a question, from which no cache takes the address.
// By IPv6 there is one form, from the link-local address: one without an address would
// have its answer sent to all nodes. It goes to the solicited-node group even when one
// card gets it (RFC 6085): sent to the address itself, a card whose node does not have it
// would forward it.
// False: the mark is of another kind, or the node has no address for this form.
func Word(self Self, addr netip.Addr, to MAC, form Form, m Mark) (frame []byte, ok bool) {
	if m.Kind.word() == Silence {
		return nil, false
	}
	addr = addr.Unmap().WithZone("")
	m.Cluster, m.Incarnation = self.Cluster, self.Incarnation
	if addr.Is4() {
		sender := netip.IPv4Unspecified()
		if form == OwnAddress {
			sender = self.IPv4.Unmap()
		}
		if frame, ok = requestARP(self, addr, to, sender); !ok {
			return nil, false
		}
		return AppendMark(frame, m, addr, self.MAC, self.Key), true
	}
	return solicit(self, addr, to, SolicitedNode(addr), m)
}

// Probe builds a question as any host asks it, without a mark, for an address that
// somebody's kernel has: a witness. To one card it is what RFC 4861 section 7.3.3 and
// RFC 1122 section 2.3.2.1 probe a neighbour by; Broadcast() asks everyone.
// False: the node has no address of this family to ask with.
func Probe(self Self, addr netip.Addr, to MAC) (frame []byte, ok bool) {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return requestARP(self, addr, to, self.IPv4.Unmap())
	}
	dst := addr
	if to == Broadcast() {
		dst = SolicitedNode(addr)
	}
	return solicit(self, addr, to, dst, Mark{})
}

// requestARP builds a request without a mark.
func requestARP(self Self, addr netip.Addr, to MAC, sender netip.Addr) (frame []byte, ok bool) {
	if !sender.Is4() {
		return nil, false
	}
	p := arpPacket{op: arpRequest, senderMAC: self.MAC, sender: sender, target: addr}
	return appendARP(make([]byte, 0, etherSize+arpSize+markSize), to, p), true
}

// solicit builds a solicitation from the link-local address.
func solicit(self Self, addr netip.Addr, to MAC, dst netip.Addr, m Mark) (frame []byte, ok bool) {
	if !addr.Is6() || !self.LinkLocal.Is6() {
		return nil, false
	}
	if to == Broadcast() {
		to = groupMAC(dst.As16())
	}
	return appendNDP(make([]byte, 0, ReplySize), ndpFrame{
		to: to, card: self.MAC, key: self.Key, src: self.LinkLocal.WithZone(""), dst: dst,
		typ: ndpSolicit, target: addr, linkOption: optionSource,
	}, m), true
}
