// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// wantAnswer4 checks everything about an answer for vip4 (RFC 826).
func wantAnswer4(t *testing.T, v neighbor.Verdict, to neighbor.MAC, target netip.Addr) sentARP {
	t.Helper()
	if v.Drop != neighbor.DropNone || v.Reply == nil {
		t.Fatalf("not answered: %v", v.Drop)
	}
	got := readARP(t, v.Reply)
	if got.to != to || got.from != ourMAC {
		t.Errorf("frame from %v to %v, want from %v to %v", got.from, got.to, ourMAC, to)
	}
	want := arp.Packet{
		HardwareType: 1, ProtocolType: uint16(ethernet.EtherTypeIPv4), HardwareAddrLength: 6, IPLength: 4,
		Operation:          arp.OperationReply,
		SenderHardwareAddr: ourMAC[:], SenderIP: vip4,
		TargetHardwareAddr: to[:], TargetIP: target,
	}
	if diff := cmp.Diff(want, got.packet, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("packet (-want +got):\n%s", diff)
	}
	return got
}

func wantDrop(t *testing.T, v neighbor.Verdict, want neighbor.Drop) {
	t.Helper()
	if v.Drop != want || v.Reply != nil {
		t.Errorf("got %v with a reply of %d octets, want %v without one", v.Drop, len(v.Reply), want)
	}
}

func wantSilence(t *testing.T, v neighbor.Verdict) {
	t.Helper()
	if v.Heard.Sound != neighbor.Silence {
		t.Errorf("heard %+v, want nothing", v.Heard)
	}
}

func TestARPBroadcastRequestIsAnsweredToTheRequester(t *testing.T) {
	v := decide(request().frame(t))
	wantAnswer4(t, v, clientMAC, client4)
	wantSilence(t, v)
}

func TestARPUnicastRequestToOurMACIsAnswered(t *testing.T) {
	f := request()
	f.to = ourMAC
	wantAnswer4(t, decide(f.frame(t)), clientMAC, client4)
}

func TestARPUnicastRequestToAnotherMACIsNotOurs(t *testing.T) {
	f := request()
	f.to = otherMAC
	v := decide(f.frame(t))
	wantDrop(t, v, neighbor.DropNotToUs)
	wantSilence(t, v)
}

func TestARPProbeIsAnsweredWithTargetZero(t *testing.T) {
	f := request()
	f.spa = zero4
	v := decide(f.frame(t))
	wantAnswer4(t, v, clientMAC, zero4)
	if v.Heard.Sound != neighbor.HeardProbe || v.Heard.Addr != vip4 || v.Heard.MAC != clientMAC || v.Heard.Marked {
		t.Errorf("heard %+v, want the client's probe for %v", v.Heard, vip4)
	}
}

func TestARPUnicastProbeIsAnswered(t *testing.T) {
	f := request()
	f.spa, f.to = zero4, ourMAC
	wantAnswer4(t, decide(f.frame(t)), clientMAC, zero4)
}

func TestARPProbeToAnotherMACIsNotAnswered(t *testing.T) {
	f := request()
	f.spa, f.to = zero4, otherMAC
	wantDrop(t, decide(f.frame(t)), neighbor.DropNotToUs)
}

func TestARPRequesterBehindAnotherCardGetsTheReplyItself(t *testing.T) {
	f := request()
	f.from = otherMAC
	wantAnswer4(t, decide(f.frame(t)), clientMAC, client4)
}

func TestARPAnswerCarriesTheMark(t *testing.T) {
	got := wantAnswer4(t, decide(request().frame(t)), clientMAC, client4).mark
	want := neighbor.Mark{
		Kind: neighbor.MarkAnswer, Cluster: cluster, Incarnation: [8]byte{1},
		LeaseUID: epoch, Transitions: 7, Standing: neighbor.StandingLease,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mark (-want +got):\n%s", diff)
	}
}

func TestARPGratuitousRequestIsNoQuestion(t *testing.T) {
	f := request()
	f.spa = vip4
	v := decide(f.frame(t))
	wantDrop(t, v, neighbor.DropNotAQuestion)
	if v.Heard.Sound != neighbor.HeardClaim || v.Heard.MAC != clientMAC || v.Heard.Marked {
		t.Errorf("heard %+v, want a foreign claim", v.Heard)
	}
}

// RFC 5227 section 2.4: any ARP packet whose sender is the address conflicts.
func TestARPAnySenderWithTheAddressIsAClaimOrAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*arpFields)
		want   neighbor.Sound
	}{
		"gratuitous reply": {func(f *arpFields) { f.op, f.tpa, f.tha = arp.OperationReply, vip4, clientMAC }, neighbor.HeardClaim},
		"reply to us":      {func(f *arpFields) { f.op, f.tpa, f.to = arp.OperationReply, client4, ourMAC }, neighbor.HeardAnswer},
		"broadcast reply":  {func(f *arpFields) { f.op, f.tpa = arp.OperationReply, client4 }, neighbor.HeardAnswer},
		"request for another": {func(f *arpFields) {
			f.tpa = foreign4
		}, neighbor.HeardClaim},
		"request for a muted one": {func(f *arpFields) { f.tpa = mute4 }, neighbor.HeardClaim},
	} {
		t.Run(name, func(t *testing.T) {
			f := request()
			f.spa = vip4
			tc.change(&f)
			v := decide(f.frame(t))
			if v.Reply != nil {
				t.Error("answered")
			}
			if v.Heard.Sound != tc.want || v.Heard.Addr != vip4 || v.Heard.MAC != clientMAC {
				t.Errorf("heard %+v, want %v of %v by %v", v.Heard, tc.want, vip4, clientMAC)
			}
		})
	}
}

func TestARPHeardTellsSenderFromEthernetSource(t *testing.T) {
	f := request()
	f.op, f.spa, f.tpa, f.to, f.from = arp.OperationReply, vip4, client4, ourMAC, otherMAC
	h := decide(f.frame(t)).Heard
	if h.MAC != clientMAC || h.EtherSource != otherMAC || !h.Unicast {
		t.Errorf("heard %+v", h)
	}
}

func TestARPOwnFramesAreIgnored(t *testing.T) {
	for name, change := range map[string]func(*arpFields){
		"ethernet source": func(f *arpFields) { f.from = ourMAC },
		"sender address":  func(f *arpFields) { f.sha = ourMAC; f.spa = vip4 },
	} {
		t.Run(name, func(t *testing.T) {
			f := request()
			change(&f)
			v := decide(f.frame(t))
			wantDrop(t, v, neighbor.DropOwn)
			wantSilence(t, v)
		})
	}
}

func TestARPImpossibleFramesAreDropped(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*arpFields)
		want   neighbor.Drop
	}{
		"sender hardware broadcast": {func(f *arpFields) { f.sha = everyone }, neighbor.DropSender},
		"sender hardware zero":      {func(f *arpFields) { f.sha = noMAC }, neighbor.DropSender},
		"ethernet source group":     {func(f *arpFields) { f.from = groupOf(nodes6) }, neighbor.DropSender},
		"sender multicast":          {func(f *arpFields) { f.spa = netip.MustParseAddr("224.0.0.1") }, neighbor.DropSender},
		"reply from nobody":         {func(f *arpFields) { f.op = arp.OperationReply; f.spa = zero4 }, neighbor.DropMalformed},
		"probe for nothing":         {func(f *arpFields) { f.spa, f.tpa = zero4, zero4 }, neighbor.DropMalformed},
		"RARP":                      {func(f *arpFields) { f.op = 3 }, neighbor.DropProtocol},
		"not in the table":          {func(f *arpFields) { f.tpa = foreign4 }, neighbor.DropUnknown},
		"no voice":                  {func(f *arpFields) { f.tpa = mute4 }, neighbor.DropNoVoice},
		"reply for others":          {func(f *arpFields) { f.op = arp.OperationReply }, neighbor.DropUnknown},
		"multicast request":         {func(f *arpFields) { f.to = groupOf(nodes6) }, neighbor.DropNotToUs},
	} {
		t.Run(name, func(t *testing.T) {
			f := request()
			tc.change(&f)
			v := decide(f.frame(t))
			wantDrop(t, v, tc.want)
			wantSilence(t, v)
		})
	}
}

func TestARPOtherHardwareAndProtocolsAreDropped(t *testing.T) {
	for i, x := range []byte{0, 6, 0x86, 0xdd, 8, 16} {
		frame := request().frame(t)
		frame[14+i] = x
		if i == 0 {
			frame[14] = 0x80
		}
		wantDrop(t, decide(frame), neighbor.DropProtocol)
	}
}

func TestARPWithoutPaddingIsAnswered(t *testing.T) {
	wantAnswer4(t, decide(request().frame(t)[:14+28]), clientMAC, client4)
}

func TestARPTruncatedIsDropped(t *testing.T) {
	frame := request().frame(t)
	for n := range 14 + 28 {
		wantDrop(t, decide(frame[:n]), neighbor.DropTruncated)
	}
}

func TestARPMarkedQuestionIsHeardAndAnsweredWithItsNonce(t *testing.T) {
	for _, form := range []neighbor.Form{neighbor.OwnAddress, neighbor.ZeroSender} {
		for _, to := range []neighbor.MAC{everyone, ourMAC} {
			q, ok := neighbor.Question(peer().Self(), vip4, to, form, neighbor.Mark{
				LeaseUID: epoch, Transitions: 7, Nonce: 4711,
			})
			if !ok {
				t.Fatal("no question")
			}
			v := decide(q)
			if v.Drop != neighbor.DropNone {
				t.Fatalf("not answered: %v", v.Drop)
			}
			if got := readARP(t, v.Reply).mark; got.Kind != neighbor.MarkAnswer || got.Nonce != 4711 {
				t.Errorf("answer's mark %+v", got)
			}
			h := v.Heard
			if h.Sound != neighbor.HeardQuestion || !h.Marked || h.MAC != peerMAC || h.Mark.Nonce != 4711 ||
				h.Mark.Incarnation != [8]byte{2} || h.Mark.Transitions != 7 || h.Unicast != (to == ourMAC) {
				t.Errorf("heard %+v", h)
			}
		}
	}
}

func TestARPMarkedQuestionIsHeardWithoutAVoice(t *testing.T) {
	q, _ := neighbor.Question(peer().Self(), mute4, everyone, neighbor.OwnAddress, neighbor.Mark{})
	v := decide(q)
	wantDrop(t, v, neighbor.DropNoVoice)
	if v.Heard.Sound != neighbor.HeardQuestion || v.Heard.Addr != mute4 {
		t.Errorf("heard %+v", v.Heard)
	}
}

func TestARPAnswerOfAPeerIsHeardMarked(t *testing.T) {
	for _, form := range []neighbor.Form{neighbor.OwnAddress, neighbor.ZeroSender} {
		q, _ := neighbor.Question(self(), mute4, peerMAC, form, neighbor.Mark{Nonce: 5})
		answer := peer().Decide(nil, q, open()).Reply
		v := decide(answer)
		wantDrop(t, v, neighbor.DropNotAQuestion)
		h := v.Heard
		if h.Sound != neighbor.HeardAnswer || !h.Marked || h.Addr != mute4 || h.MAC != peerMAC || h.Mark.Nonce != 5 ||
			h.Mark.Transitions != 8 || h.Mark.Standing != neighbor.StandingWire {
			t.Errorf("heard %+v", h)
		}
	}
}

func TestARPUnmarkedAnswerIsNobodysVoice(t *testing.T) {
	f := request()
	f.op, f.spa, f.tpa, f.to = arp.OperationReply, mute4, netip.MustParseAddr("192.0.2.1"), ourMAC
	if h := decide(f.frame(t)).Heard; h.Sound != neighbor.HeardAnswer || h.Marked || h.Mark.Kind != 0 {
		t.Errorf("heard %+v", h)
	}
}

func TestARPClaimOfAPeerIsHeardMarked(t *testing.T) {
	frames, ok := peer().Claim(vip4, open(), 9)
	if !ok || len(frames) != 2 {
		t.Fatalf("claim: %d frames, %v", len(frames), ok)
	}
	for _, f := range frames {
		v := decide(f)
		wantDrop(t, v, neighbor.DropNotAQuestion)
		if h := v.Heard; h.Sound != neighbor.HeardClaim || !h.Marked || h.Addr != vip4 || h.Mark.Nonce != 9 {
			t.Errorf("heard %+v", h)
		}
	}
}

// A device that answers by turning the request around, trailer and all.
func TestARPReflectedMarkIsNone(t *testing.T) {
	q, _ := neighbor.Question(self(), mute4, everyone, neighbor.OwnAddress, neighbor.Mark{})
	f := request()
	f.op, f.spa, f.tpa, f.to = arp.OperationReply, mute4, self().IPv4, ourMAC
	f.trailer = q[14+28:]
	if h := decide(f.frame(t)).Heard; h.Sound != neighbor.HeardAnswer || h.Marked {
		t.Errorf("heard %+v", h)
	}
}

func TestARPMarkOfAnotherClusterIsAStrangers(t *testing.T) {
	s := peer().Self()
	s.Cluster = [8]byte{'x'}
	stranger := neighbor.NewTable(s, []neighbor.Entry{{Addr: vip4, Voice: true}})
	frames, _ := stranger.Claim(vip4, open(), 0)
	h := decide(frames[0]).Heard
	if h.Sound != neighbor.HeardClaim || h.Marked || h.Mark.Cluster != s.Cluster {
		t.Errorf("heard %+v", h)
	}
	q, _ := neighbor.Question(s, vip4, everyone, neighbor.OwnAddress, neighbor.Mark{Nonce: 3})
	v := decide(q)
	wantSilence(t, v)
	if got := readARP(t, v.Reply).mark.Nonce; got != 0 {
		t.Errorf("nonce %d of a stranger echoed", got)
	}
}

func TestARPOwnVoiceByAnotherCardIsIgnored(t *testing.T) {
	s := self()
	s.MAC = otherMAC
	twin := neighbor.NewTable(s, entries())
	frames, _ := twin.Claim(vip4, open(), 0)
	q, _ := neighbor.Question(s, vip4, everyone, neighbor.OwnAddress, neighbor.Mark{})
	for _, f := range append(frames, q) {
		v := decide(f)
		wantDrop(t, v, neighbor.DropOwn)
		wantSilence(t, v)
	}
}
