// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// IEEE 802.3 pads frames to 60 octets, and nobody says with what.
func TestPaddingIsIgnored(t *testing.T) {
	junk := bytes.Repeat([]byte{0xa5}, 1500)
	for _, n := range []int{1, 18, 54, 55, len(junk)} {
		wantAnswer4(t, decide(slices.Concat(request().frame(t)[:14+28], junk[:n])), clientMAC, client4)
		wantAnswer6(t, decide(slices.Concat(solicit().frame(t), junk[:n])), clientMAC, client6)
	}
}

// A card or the kernel takes a priority tag (VLAN 0, IEEE 802.1Q) out of the frame, which so
// arrives as any other. What still has a tag is of a LAN that is not this port's.
func TestFramesWithATagAreNotOurs(t *testing.T) {
	for name, tag := range map[string][]byte{
		"802.1Q": {0x81, 0, 0, 5}, "802.1Q priority": {0x81, 0, 0xe0, 0}, "802.1ad": {0x88, 0xa8, 0, 5},
	} {
		for _, frame := range [][]byte{request().frame(t), solicit().frame(t), ping4().frame(t), ping6().frame(t)} {
			v := pinged().Decide(nil, slices.Concat(frame[:12], tag, frame[12:]), open())
			if v.Drop != neighbor.DropProtocol || v.Heard.Sound != neighbor.Silence {
				t.Errorf("%s: %v, heard %+v", name, v.Drop, v.Heard)
			}
		}
	}
}

// RFC 5227 section 2.1.1: while an address is probed, before anybody has a voice for it, a
// conflict is any ARP packet from it, or another host's probe for it.
func TestARPConflictsAreHeardWithoutAVoice(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*arpFields)
		want   neighbor.Sound
	}{
		"another's probe": {func(f *arpFields) { f.spa = zero4 }, neighbor.HeardProbe},
		"probe to us":     {func(f *arpFields) { f.spa, f.to = zero4, ourMAC }, neighbor.HeardProbe},
		"announcement":    {func(f *arpFields) { f.spa = mute4 }, neighbor.HeardClaim},
		"reply":           {func(f *arpFields) { f.op, f.spa, f.tpa, f.to = arp.OperationReply, mute4, self().IPv4, ourMAC }, neighbor.HeardAnswer},
		"reply to a probe": {func(f *arpFields) {
			f.op, f.spa, f.tpa, f.to = arp.OperationReply, mute4, zero4, ourMAC
		}, neighbor.HeardAnswer},
		"request":            {func(f *arpFields) { f.spa, f.tpa = mute4, foreign4 }, neighbor.HeardClaim},
		"request for a VIP":  {func(f *arpFields) { f.spa, f.tpa = mute4, vip4 }, neighbor.HeardClaim},
		"mere question":      {func(*arpFields) {}, neighbor.Silence},
		"own probe":          {func(f *arpFields) { f.spa, f.from, f.sha = zero4, ourMAC, ourMAC }, neighbor.Silence},
		"own, by a repeater": {func(f *arpFields) { f.spa, f.sha = zero4, ourMAC }, neighbor.Silence},
	} {
		t.Run(name, func(t *testing.T) {
			f := request()
			f.tpa = mute4
			tc.change(&f)
			h := decide(f.frame(t)).Heard
			if h.Sound != tc.want || h.Marked {
				t.Fatalf("heard %+v, want %v", h, tc.want)
			}
			if tc.want != neighbor.Silence && (h.Addr != mute4 || h.MAC != clientMAC) {
				t.Errorf("heard %+v", h)
			}
		})
	}
}

// RFC 4862 section 5.4: the same by IPv6, where the probe is a solicitation from nowhere, and
// any advertisement for the address means that it is in use.
func TestNDPConflictsAreHeardWithoutAVoice(t *testing.T) {
	taken := func(solicited, override bool) ndp.Message {
		return &ndp.NeighborAdvertisement{
			Solicited: solicited, Override: override, TargetAddress: mute6, Options: []ndp.Option{targetLL(clientMAC)},
		}
	}
	for name, tc := range map[string]struct {
		change func(*ndpFields)
		want   neighbor.Sound
	}{
		"another's probe": {func(f *ndpFields) { f.src, f.message = zero6, solicitation(mute6) }, neighbor.HeardProbe},
		"announcement": {func(f *ndpFields) {
			f.src, f.dst, f.to, f.message = mute6, nodes6, groupOf(nodes6), taken(false, true)
		}, neighbor.HeardClaim},
		"without Override": {func(f *ndpFields) {
			f.src, f.dst, f.to, f.message = mute6, nodes6, groupOf(nodes6), taken(false, false)
		}, neighbor.HeardClaim},
		"to routers": {func(f *ndpFields) {
			f.src, f.dst, f.to, f.message = mute6, routers6, groupOf(routers6), taken(false, false)
		}, neighbor.HeardClaim},
		"answer": {func(f *ndpFields) {
			f.src, f.dst, f.to, f.message = mute6, self().LinkLocal, ourMAC, taken(true, true)
		}, neighbor.HeardAnswer},
		"solicitation":  {func(f *ndpFields) { f.src, f.message = mute6, solicitation(foreign6, sourceLL(clientMAC)) }, neighbor.HeardClaim},
		"mere question": {func(f *ndpFields) { f.message = solicitation(mute6, sourceLL(clientMAC)) }, neighbor.Silence},
		"own probe":     {func(f *ndpFields) { f.from, f.src, f.message = ourMAC, zero6, solicitation(mute6) }, neighbor.Silence},
	} {
		t.Run(name, func(t *testing.T) {
			f := solicit()
			f.dst, f.to = solicitedNode(mute6), groupOf(solicitedNode(mute6))
			tc.change(&f)
			h := decide(f.frame(t)).Heard
			if h.Sound != tc.want || h.Marked {
				t.Fatalf("heard %+v, want %v", h, tc.want)
			}
			if tc.want != neighbor.Silence && (h.Addr != mute6 || h.MAC != clientMAC) {
				t.Errorf("heard %+v", h)
			}
		})
	}
}

// RFC 4861 section 7.2.3: who checks an entry it has sends the solicitation to the address
// itself, and to the card that it knows.
func TestNDPUnicastSolicitationToAnotherCardIsNotOurs(t *testing.T) {
	f := solicit()
	f.to, f.dst = otherMAC, vip6
	v := decide(f.frame(t))
	wantDrop(t, v, neighbor.DropNotToUs)
	wantSilence(t, v)
}

// RFC 4861 section 7.2.4: a VIP is neither anycast nor proxied, so every advertisement sets
// Override but one: the one to all routers (RFC 9131), which is to create an entry
// where there is none and to disturb no other.
func TestNDPOverrideIsClearTowardsRoutersOnly(t *testing.T) {
	duplicate := solicit()
	duplicate.src, duplicate.message = zero6, solicitation(vip6)
	frames, _ := table().Claim(vip6, open(), 0)
	sent := slices.Concat(frames, [][]byte{decide(solicit().frame(t)).Reply, decide(duplicate.frame(t)).Reply})
	for _, frame := range sent {
		got := readNDP(t, frame)
		if na := got.advertisement(t); na.Override == (got.dst == routers6) {
			t.Errorf("to %v: Override %v", got.dst, na.Override)
		}
	}
}

// A card gets another MAC, and with it the port another table: no frame has the old one.
func TestFramesCarryTheCardsPresentMAC(t *testing.T) {
	s := self()
	s.MAC = otherMAC
	es := entries()
	for i := range es {
		es[i].Ping = true
	}
	changed := neighbor.NewTable(s, es)
	f4, f6, p4, p6 := request(), solicit(), ping4(), ping6()
	for _, to := range []neighbor.MAC{ourMAC, otherMAC} {
		f4.to, f6.to, p4.to, p6.to = to, to, to, to
		for _, frame := range [][]byte{f4.frame(t), f6.frame(t), p4.frame(t), p6.frame(t)} {
			v := changed.Decide(nil, frame, open())
			if to == ourMAC {
				wantDrop(t, v, neighbor.DropNotToUs)
			} else if v.Reply == nil || bytes.Contains(v.Reply, ourMAC[:]) || neighbor.MAC(v.Reply[6:]) != otherMAC {
				t.Errorf("%v, reply %x", v.Drop, v.Reply)
			}
		}
	}
	for _, addr := range []netip.Addr{vip4, vip6} {
		frames, _ := changed.Claim(addr, open(), 0)
		for _, frame := range frames {
			if bytes.Contains(frame, ourMAC[:]) || neighbor.MAC(frame[6:]) != otherMAC {
				t.Errorf("claim %x", frame)
			}
		}
	}
}

// RFC 826 knows no other Ethernet type, and an LLC frame (IEEE 802.2) has a length there.
func TestOtherEthernetTypesAreDropped(t *testing.T) {
	for _, typ := range []ethernet.EtherType{0, 0x2e, 0x0805, 0x0807, 0x8035, 0x86dc, 0xffff} {
		frame := request().frame(t)
		frame[12], frame[13] = byte(typ>>8), byte(typ)
		wantDrop(t, decide(frame), neighbor.DropProtocol)
	}
}
