// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

var words = map[neighbor.Kind]neighbor.Sound{
	neighbor.MarkQuestion: neighbor.HeardQuestion,
	neighbor.MarkVouch:    neighbor.HeardVouch,
	neighbor.MarkLeaving:  neighbor.HeardLeaving,
}

// Each kind, family, form and way arrives with all its mark says, with a voice or without.
// Only a question for an address with a voice is answered.
func TestWordsAreHeardAndOnlyQuestionsAnswered(t *testing.T) {
	for kind, sound := range words {
		for _, addr := range []netip.Addr{vip4, vip6, mute4, mute6, foreign4, foreign6} {
			vip, known := addr == vip4 || addr == vip6, addr != foreign4 && addr != foreign6
			for _, to := range []neighbor.MAC{everyone, ourMAC} {
				for _, form := range []neighbor.Form{neighbor.OwnAddress, neighbor.ZeroSender} {
					m := neighbor.Mark{
						Kind: kind, LeaseUID: epoch, Transitions: 9, Standing: neighbor.StandingWire, Nonce: 5,
						Flags: neighbor.FlagHears | neighbor.FlagBare,
					}
					frame, ok := neighbor.Word(peer().Self(), addr, to, form, m)
					if !ok {
						t.Fatal("no frame")
					}
					v := decide(frame)
					what := fmt.Sprintf("%v about %v to %v, form %d", kind, addr, to, form)
					if answered := v.Reply != nil; answered != (vip && kind == neighbor.MarkQuestion) {
						t.Errorf("%s: answered %v", what, answered)
					}
					if !known {
						if v.Heard.Sound != neighbor.Silence || v.Drop != neighbor.DropUnknown {
							t.Errorf("%s: heard %+v", what, v.Heard)
						}
						continue
					}
					m.Cluster, m.Incarnation = cluster, [8]byte{2}
					if h := v.Heard; h.Sound != sound || !h.Marked || h.Mark != m || h.MAC != peerMAC || h.Unicast != (to == ourMAC) {
						t.Errorf("%s: heard %+v", what, h)
					}
					if kind != neighbor.MarkQuestion && v.Drop != neighbor.DropNotAQuestion {
						t.Errorf("%s: drop %v", what, v.Drop)
					}
				}
			}
		}
	}
}

// Nobody but an agent of this cluster can say so; and nobody is answered for it.
func TestStatementsOfStrangersAreNotHeard(t *testing.T) {
	stranger := peer().Self()
	stranger.Cluster[0]++
	for _, kind := range []neighbor.Kind{neighbor.MarkVouch, neighbor.MarkLeaving} {
		f4, _ := neighbor.Word(stranger, vip4, ourMAC, neighbor.OwnAddress, neighbor.Mark{Kind: kind})
		f6, _ := neighbor.Word(stranger, vip6, ourMAC, neighbor.OwnAddress, neighbor.Mark{Kind: kind})
		for _, f := range [][]byte{f4, f6} {
			if v := decide(f); v.Heard.Sound != neighbor.Silence || v.Reply != nil {
				t.Errorf("%v: %v, heard %+v", kind, v.Drop, v.Heard)
			}
		}
		own, _ := neighbor.Word(self(), vip4, ourMAC, neighbor.OwnAddress, neighbor.Mark{Kind: kind})
		if v := decide(own); v.Drop != neighbor.DropOwn {
			t.Errorf("own %v: %v", kind, v.Drop)
		}
	}
}

// A mark of a kind that does not fit its frame counts as none.
func TestStatementInAnotherFormIsUnmarked(t *testing.T) {
	m := neighbor.Mark{Kind: neighbor.MarkLeaving, Cluster: cluster, Incarnation: [8]byte{2}, LeaseUID: epoch, Transitions: 9}
	reply := request()
	reply.to, reply.from, reply.op = ourMAC, peerMAC, arp.OperationReply
	reply.sha, reply.spa, reply.tpa = peerMAC, vip4, self().IPv4
	reply.trailer = neighbor.AppendMark(nil, m, vip4, peerMAC, secret)
	gratuitous := reply
	gratuitous.op, gratuitous.tpa = arp.OperationRequest, vip4
	advert := solicit()
	advert.from, advert.src, advert.dst, advert.to = peerMAC, vip6, self().LinkLocal, ourMAC
	advert.message = &ndp.NeighborAdvertisement{
		Solicited: true, TargetAddress: vip6,
		Options: []ndp.Option{targetLL(peerMAC), &ndp.RawOption{Type: 253, Length: 7, Value: neighbor.AppendMark(nil, m, vip6, peerMAC, secret)}},
	}
	for name, tc := range map[string]struct {
		frame []byte
		want  neighbor.Sound
	}{
		"reply":         {reply.frame(t), neighbor.HeardAnswer},
		"announcement":  {gratuitous.frame(t), neighbor.HeardClaim},
		"advertisement": {advert.frame(t), neighbor.HeardAnswer},
	} {
		if v := decide(tc.frame); v.Heard.Sound != tc.want || v.Heard.Marked || v.Reply != nil {
			t.Errorf("%s: %v, heard %+v", name, v.Drop, v.Heard)
		}
	}
}

func TestWordHasNoOtherKinds(t *testing.T) {
	for _, kind := range []neighbor.Kind{0, neighbor.MarkAnswer, neighbor.MarkClaim, 6} {
		if _, ok := neighbor.Word(self(), vip4, everyone, neighbor.OwnAddress, neighbor.Mark{Kind: kind}); ok {
			t.Errorf("a frame of kind %d", kind)
		}
	}
}

// A probe is what any host sends: no mark, the own address, and nothing of ours in it.
func TestProbeIsAnOrdinaryQuestion(t *testing.T) {
	for _, to := range []neighbor.MAC{everyone, peerMAC} {
		frame, ok := neighbor.Probe(self(), client4, to)
		if !ok || len(frame) != 14+28 {
			t.Fatalf("%d octets, %v", len(frame), ok)
		}
		got := readARP(t, etherFrame(t, to, ourMAC, ethernet.EtherTypeARP, frame[14:]))
		if p := got.packet; p.Operation != arp.OperationRequest || p.SenderIP != self().IPv4 || p.TargetIP != client4 ||
			!bytes.Equal(p.SenderHardwareAddr, ourMAC[:]) || got.mark.Kind != 0 || neighbor.MAC(frame) != to {
			t.Errorf("sent %+v", got)
		}
		if frame, ok = neighbor.Probe(self(), global6, to); !ok {
			t.Fatal("no probe by IPv6")
		}
		sent := readNDP(t, frame)
		mac, dst := to, global6
		if to == everyone {
			mac, dst = groupOf(solicitedNode(global6)), solicitedNode(global6)
		}
		ns, ok := sent.message.(*ndp.NeighborSolicitation)
		if !ok || ns.TargetAddress != global6 || sent.to != mac || sent.dst != dst || sent.src != self().LinkLocal || len(sent.options) != 1 {
			t.Errorf("sent %+v", sent)
		}
	}
	if _, ok := neighbor.Probe(neighbor.Self{MAC: ourMAC}, client4, peerMAC); ok {
		t.Error("probed by IPv4 without an address")
	}
	if _, ok := neighbor.Probe(neighbor.Self{MAC: ourMAC}, global6, peerMAC); ok {
		t.Error("probed by IPv6 without an address")
	}
}
