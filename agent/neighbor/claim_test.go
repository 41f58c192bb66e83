// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// RFC 826: a receiver takes the sender's MAC from any ARP packet; devices differ in which.
func TestARPClaimHasBothForms(t *testing.T) {
	for _, to := range []neighbor.MAC{everyone, clientMAC} {
		frames, ok := table().ClaimTo(vip4, open(), 6, to)
		if !ok || len(frames) != 2 {
			t.Fatalf("%d frames, %v", len(frames), ok)
		}
		for i, want := range []struct {
			op     arp.Operation
			target neighbor.MAC
		}{{arp.OperationRequest, noMAC}, {arp.OperationReply, ourMAC}} {
			got := readARP(t, frames[i])
			p := got.packet
			if got.to != to || got.from != ourMAC || p.Operation != want.op || p.SenderIP != vip4 || p.TargetIP != vip4 ||
				!bytes.Equal(p.SenderHardwareAddr, ourMAC[:]) || !bytes.Equal(p.TargetHardwareAddr, want.target[:]) {
				t.Errorf("frame %d: %v -> %v %+v", i, got.from, got.to, p)
			}
			if m := got.mark; m.Kind != neighbor.MarkClaim || m.Nonce != 6 || m.Transitions != 7 || m.LeaseUID != epoch {
				t.Errorf("frame %d: mark %+v", i, m)
			}
		}
	}
}

// RFC 4861 section 7.2.6, and RFC 9131 for the routers.
func TestNDPClaimGoesToAllNodesWithOverrideAndToAllRoutersWithout(t *testing.T) {
	for _, to := range []neighbor.MAC{everyone, clientMAC} {
		frames, ok := table().ClaimTo(vip6, open(), 6, to)
		if !ok || len(frames) != 2 {
			t.Fatalf("%d frames, %v", len(frames), ok)
		}
		for i, want := range []struct {
			group    netip.Addr
			override bool
		}{{nodes6, true}, {routers6, false}} {
			got := readNDP(t, frames[i])
			mac := to
			if to == everyone {
				mac = groupOf(want.group)
			}
			na := got.advertisement(t)
			if got.to != mac || got.dst != want.group || got.src != vip6 || got.hopLimit != 255 ||
				na.Solicited || na.Override != want.override || na.TargetAddress != vip6 {
				t.Errorf("frame %d: %+v %+v", i, got, na)
			}
			// The target option, not the source one, which everyone ignores here.
			if !bytes.Equal(got.targetLL(), ourMAC[:]) {
				t.Errorf("frame %d: no target link-layer option", i)
			}
			if m := got.mark; m.Kind != neighbor.MarkClaim || m.Nonce != 6 {
				t.Errorf("frame %d: mark %+v", i, m)
			}
		}
	}
}

func TestNoClaimWithoutAVoice(t *testing.T) {
	for _, addr := range []netip.Addr{mute4, mute6, foreign4, foreign6, {}} {
		if _, ok := table().Claim(addr, open(), 0); ok {
			t.Errorf("claimed %v", addr)
		}
	}
}

func TestARPQuestionForms(t *testing.T) {
	for _, tc := range []struct {
		form neighbor.Form
		want netip.Addr
	}{{neighbor.OwnAddress, self().IPv4}, {neighbor.ZeroSender, zero4}} {
		for _, to := range []neighbor.MAC{everyone, peerMAC} {
			q, ok := neighbor.Question(self(), vip4, to, tc.form, neighbor.Mark{Nonce: 1, Kind: neighbor.MarkClaim})
			if !ok {
				t.Fatal("no question")
			}
			got := readARP(t, q)
			p := got.packet
			if got.to != to || p.Operation != arp.OperationRequest || p.SenderIP != tc.want || p.TargetIP != vip4 ||
				!bytes.Equal(p.TargetHardwareAddr, noMAC[:]) {
				t.Errorf("%v -> %+v", got.to, p)
			}
			if m := got.mark; m.Kind != neighbor.MarkQuestion || m.Cluster != cluster || m.Incarnation != [8]byte{1} || m.Nonce != 1 {
				t.Errorf("mark %+v", m)
			}
		}
	}
}

func TestNDPQuestionGoesToTheGroupEvenToOneCard(t *testing.T) {
	for _, to := range []neighbor.MAC{everyone, peerMAC} {
		q, ok := neighbor.Question(self(), vip6, to, neighbor.ZeroSender, neighbor.Mark{Nonce: 1})
		if !ok {
			t.Fatal("no question")
		}
		got := readNDP(t, q)
		want := to
		if to == everyone {
			want = groupOf(solicitedNode(vip6))
		}
		ns, ok := got.message.(*ndp.NeighborSolicitation)
		if !ok || ns.TargetAddress != vip6 || got.to != want || got.src != self().LinkLocal || got.dst != solicitedNode(vip6) {
			t.Errorf("sent %+v", got)
		}
		if got.mark.Kind != neighbor.MarkQuestion || got.mark.Nonce != 1 {
			t.Errorf("mark %+v", got.mark)
		}
	}
}

func TestNoQuestionWithoutAnAddressToAskWith(t *testing.T) {
	bare := neighbor.Self{MAC: ourMAC}
	if _, ok := neighbor.Question(bare, vip4, everyone, neighbor.OwnAddress, neighbor.Mark{}); ok {
		t.Error("asked with an IPv4 address it does not have")
	}
	if _, ok := neighbor.Question(bare, vip4, everyone, neighbor.ZeroSender, neighbor.Mark{}); !ok {
		t.Error("did not ask with the sender 0.0.0.0")
	}
	if _, ok := neighbor.Question(bare, vip6, everyone, neighbor.OwnAddress, neighbor.Mark{}); ok {
		t.Error("asked with a link-local address it does not have")
	}
	if _, ok := neighbor.Question(self(), netip.Addr{}, everyone, neighbor.OwnAddress, neighbor.Mark{}); ok {
		t.Error("asked for nothing")
	}
}

func TestRounds(t *testing.T) {
	ms := time.Millisecond
	r4, r6 := neighbor.Rounds(true), neighbor.Rounds(false)
	if r4[0] != 0 || r4[1] != 50*ms || r4[2] != 200*ms || len(r4) != 7 {
		t.Errorf("IPv4 rounds %v", r4)
	}
	for i := 3; i < len(r4); i++ {
		if r4[i]-r4[i-1] < 1100*ms {
			t.Errorf("IPv4 rounds %v: closer than 1.1 s", r4)
		}
	}
	if r6[0] != 0 || len(r6) != 5 {
		t.Errorf("IPv6 rounds %v", r6)
	}
	for i := 1; i < len(r6); i++ {
		if r6[i]-r6[i-1] < 1000*ms {
			t.Errorf("IPv6 rounds %v: closer than 1 s", r6)
		}
	}
}
