// SPDX-License-Identifier: Apache-2.0

package neighbor

import "net/netip"

// Claim builds the frames that announce an address to the whole segment, for one round.
// False: this node has no voice for it, or the gate is shut, and nothing may be sent.
func (t *Table) Claim(addr netip.Addr, g Gate, nonce uint32) (frames [][]byte, ok bool) {
	return t.claim(addr, g, nonce, Broadcast())
}

// ClaimTo builds the same frames for one card alone, for gateways and old speakers that a
// broadcast may not reach.
func (t *Table) ClaimTo(addr netip.Addr, g Gate, nonce uint32, to MAC) (frames [][]byte, ok bool) {
	return t.claim(addr, g, nonce, to)
}

func (t *Table) claim(addr netip.Addr, g Gate, nonce uint32, to MAC) ([][]byte, bool) {
	e, known := t.Lookup(addr)
	g.FrameAge = 0
	if !known || g.admits(e, t.self.MAC) != DropNone {
		return nil, false
	}
	m := t.mark(MarkClaim, e, nonce)
	if e.Addr.Is4() {
		return t.claimARP(e.Addr, to, m), true
	}
	return t.claimNDP(e.Addr, to, m), true
}

// claimARP announces in both forms, as receivers differ in which they heed: a request
// (RFC 5227 section 2.3), and a reply. The reply has the own MAC as its target too;
// Linux takes it for gratuitous only so.
func (t *Table) claimARP(addr netip.Addr, to MAC, m Mark) [][]byte {
	p := arpPacket{op: arpRequest, senderMAC: t.self.MAC, sender: addr, target: addr}
	request := AppendMark(appendARP(nil, to, p), m, addr, t.self.MAC, t.self.Key)
	p.op, p.targetMAC = arpReply, t.self.MAC
	reply := AppendMark(appendARP(nil, to, p), m, addr, t.self.MAC, t.self.Key)
	return [][]byte{request, reply}
}

// claimNDP announces to all nodes with Override set, which changes the entries of those
// who have one (RFC 4861 section 7.2.6), and to all routers with Override clear, which
// makes routers learn an address they have no entry for (RFC 9131). To a single card the
// packet goes to the same groups (RFC 6085).
func (t *Table) claimNDP(addr netip.Addr, to MAC, m Mark) [][]byte {
	frames := make([][]byte, 0, 2)
	for _, a := range []advertisement{{dst: allNodes(), flags: flagOverride}, {dst: allRouters()}} {
		a.to = to
		if to == Broadcast() {
			a.to = groupMAC(a.dst.As16())
		}
		frames = append(frames, t.appendAdvertisement(nil, a, addr, m))
	}
	return frames
}
