// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// wantAnswer6 checks everything about an answer for vip6 (RFC 4861 section 7.2.4).
func wantAnswer6(t *testing.T, v neighbor.Verdict, to neighbor.MAC, dst netip.Addr) sentNDP {
	t.Helper()
	if v.Drop != neighbor.DropNone || v.Reply == nil {
		t.Fatalf("not answered: %v", v.Drop)
	}
	got := readNDP(t, v.Reply)
	if got.to != to || got.from != ourMAC || got.dst != dst || got.src != vip6 || got.hopLimit != 255 {
		t.Errorf("sent %v -> %v, %v -> %v, hop limit %d", got.from, got.to, got.src, got.dst, got.hopLimit)
	}
	na := got.advertisement(t)
	if na.TargetAddress != vip6 || !na.Override || na.Router || na.Solicited != (dst != nodes6) {
		t.Errorf("advertisement %+v", na)
	}
	if ll := got.targetLL(); !bytes.Equal(ll, ourMAC[:]) {
		t.Errorf("target link-layer option %v", ll)
	}
	return got
}

func TestNDPMulticastSolicitationIsAnswered(t *testing.T) {
	v := decide(solicit().frame(t))
	wantAnswer6(t, v, clientMAC, client6)
	wantSilence(t, v)
}

func TestNDPUnicastSolicitationIsAnswered(t *testing.T) {
	f := solicit()
	f.to, f.dst = ourMAC, vip6
	wantAnswer6(t, decide(f.frame(t)), clientMAC, client6)
}

func TestNDPSolicitationWithoutSourceOptionIsAnsweredToTheEthernetSource(t *testing.T) {
	f := solicit()
	f.to, f.dst, f.src, f.message = ourMAC, vip6, global6, solicitation(vip6)
	wantAnswer6(t, decide(f.frame(t)), clientMAC, global6)
}

func TestNDPSourceOptionSaysWhomToAnswer(t *testing.T) {
	f := solicit()
	f.from = otherMAC
	wantAnswer6(t, decide(f.frame(t)), clientMAC, client6)
}

func TestNDPMulticastPacketToOurCardIsAnswered(t *testing.T) { // RFC 6085
	f := solicit()
	f.to = ourMAC
	wantAnswer6(t, decide(f.frame(t)), clientMAC, client6)
}

func TestNDPDuplicateAddressDetectionIsDefendedToAllNodes(t *testing.T) {
	f := solicit()
	f.src, f.message = zero6, solicitation(vip6)
	v := decide(f.frame(t))
	wantAnswer6(t, v, groupOf(nodes6), nodes6)
	if v.Heard.Sound != neighbor.HeardProbe || v.Heard.MAC != clientMAC {
		t.Errorf("heard %+v, want the client's probe", v.Heard)
	}
}

func TestNDPDuplicateAddressDetectionWithNonceIsDefended(t *testing.T) { // RFC 7527
	f := solicit()
	f.src, f.message = zero6, solicitation(vip6, ndp.NewNonce())
	wantAnswer6(t, decide(f.frame(t)), groupOf(nodes6), nodes6)
}

func TestNDPUnspecifiedSourceWithSourceOptionIsInvalid(t *testing.T) { // RFC 4861 section 7.1.1
	f := solicit()
	f.src = zero6
	wantDrop(t, decide(f.frame(t)), neighbor.DropMalformed)
}

func TestNDPUnspecifiedSourceMustGoToTheSolicitedNodeGroup(t *testing.T) { // RFC 4861 section 7.1.1
	f := solicit()
	f.src, f.dst, f.to, f.message = zero6, vip6, ourMAC, solicitation(vip6)
	wantDrop(t, decide(f.frame(t)), neighbor.DropMalformed)
}

func TestNDPHopLimitMustBe255(t *testing.T) {
	for _, hops := range []uint8{0, 1, 64, 254} {
		f := solicit()
		f.hopLimit = hops
		v := decide(f.frame(t))
		wantDrop(t, v, neighbor.DropHopLimit)
		wantSilence(t, v)
	}
}

func TestNDPChecksumMustBeRight(t *testing.T) {
	f := solicit()
	f.badSum = true
	wantDrop(t, decide(f.frame(t)), neighbor.DropChecksum)
}

func TestNDPCodeMustBeZero(t *testing.T) {
	f := solicit()
	f.code = 1
	wantDrop(t, decide(f.frame(t)), neighbor.DropMalformed)
}

func TestNDPOptionOfLengthZeroDropsThePacket(t *testing.T) {
	for name, o := range map[string][]byte{
		"zero":          {1, 0, 0, 0, 0, 0, 0, 0},
		"unknown, zero": {200, 0, 0, 0, 0, 0, 0, 0},
		"beyond":        {1, 2, 0, 0, 0, 0, 0, 0},
		"half":          {1},
		"after one":     {200, 1, 0, 0, 0, 0, 0, 0, 201, 0, 0, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := solicit()
			b, err := ndp.MarshalMessage(solicitation(vip6))
			if err != nil {
				t.Fatal(err)
			}
			f.message, f.raw = nil, slices.Concat(b, o)
			wantDrop(t, decide(f.frame(t)), neighbor.DropOption)
		})
	}
}

func TestNDPUnknownOptionsAreSkipped(t *testing.T) {
	f := solicit()
	f.message = solicitation(vip6, &ndp.RawOption{Type: 200, Length: 2, Value: make([]byte, 14)}, sourceLL(otherMAC))
	wantAnswer6(t, decide(f.frame(t)), otherMAC, client6)
}

func TestNDPRouterFlagIsTheKernels(t *testing.T) {
	s := self()
	s.Router = true
	routing := neighbor.NewTable(s, entries())
	v := routing.Decide(nil, solicit().frame(t), open())
	if !readNDP(t, v.Reply).advertisement(t).Router {
		t.Error("answer without the Router flag")
	}
	frames, _ := routing.Claim(vip6, open(), 0)
	for _, f := range frames {
		if !readNDP(t, f).advertisement(t).Router {
			t.Error("claim without the Router flag")
		}
	}
}

func TestNDPAnswerCarriesTheMark(t *testing.T) {
	got := wantAnswer6(t, decide(solicit().frame(t)), clientMAC, client6).mark
	if got.Kind != neighbor.MarkAnswer || got.LeaseUID != epoch || got.Transitions != 7 ||
		got.Standing != neighbor.StandingLease || got.Cluster != cluster || got.Nonce != 0 {
		t.Errorf("mark %+v", got)
	}
}

func TestNDPImpossibleFramesAreDropped(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*ndpFields)
		want   neighbor.Drop
	}{
		"to another card":       {func(f *ndpFields) { f.to = otherMAC }, neighbor.DropNotToUs},
		"Ethernet broadcast":    {func(f *ndpFields) { f.to = everyone }, neighbor.DropNotToUs},
		"from our card":         {func(f *ndpFields) { f.from = ourMAC }, neighbor.DropOwn},
		"with our MAC":          {func(f *ndpFields) { f.message = solicitation(vip6, sourceLL(ourMAC)) }, neighbor.DropOwn},
		"group MAC as source":   {func(f *ndpFields) { f.message = solicitation(vip6, sourceLL(groupOf(nodes6))) }, neighbor.DropSender},
		"multicast source":      {func(f *ndpFields) { f.src = nodes6 }, neighbor.DropSender},
		"loopback source":       {func(f *ndpFields) { f.src = netip.IPv6Loopback() }, neighbor.DropSender},
		"not in the table":      {func(f *ndpFields) { f.message = solicitation(foreign6) }, neighbor.DropUnknown},
		"mapped IPv4":           {func(f *ndpFields) { f.message = nil; f.raw = rawSolicitation(netip.AddrFrom16(vip4.As16())) }, neighbor.DropUnknown},
		"no voice":              {func(f *ndpFields) { f.message = solicitation(mute6, sourceLL(clientMAC)) }, neighbor.DropNoVoice},
		"router advertisement":  {func(f *ndpFields) { f.message = &ndp.RouterAdvertisement{} }, neighbor.DropProtocol},
		"advertisement from ::": {func(f *ndpFields) { f.src, f.message = zero6, &ndp.NeighborAdvertisement{TargetAddress: vip6} }, neighbor.DropSender},
		"solicited to a group": {func(f *ndpFields) { // RFC 4861 section 7.1.2
			f.message = &ndp.NeighborAdvertisement{TargetAddress: vip6, Solicited: true}
		}, neighbor.DropMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			f := solicit()
			tc.change(&f)
			v := decide(f.frame(t))
			wantDrop(t, v, tc.want)
			wantSilence(t, v)
		})
	}
}

func rawSolicitation(target netip.Addr) []byte {
	b := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 16)...)
	a := target.As16()
	copy(b[8:], a[:])
	return b
}

func TestNDPTruncatedIsDropped(t *testing.T) {
	f := solicit()
	frame := f.frame(t)
	for n := range len(frame) {
		wantDrop(t, decide(frame[:n]), neighbor.DropTruncated)
	}
}

func TestNDPExtensionHeadersAndOtherProtocolsAreDropped(t *testing.T) {
	for _, change := range []func([]byte){
		func(b []byte) { b[14] = 4 << 4 },
		func(b []byte) { b[20] = 0 },  // hop-by-hop options
		func(b []byte) { b[20] = 44 }, // fragment
		func(b []byte) { b[54] = 129 },
		func(b []byte) { b[12] = 0x81; b[13] = 0 },
	} {
		frame := solicit().frame(t)
		change(frame)
		wantDrop(t, decide(frame), neighbor.DropProtocol)
	}
}

func advertise(src, dst netip.Addr, to neighbor.MAC, na *ndp.NeighborAdvertisement) ndpFields {
	return ndpFields{to: to, from: otherMAC, src: src, dst: dst, hopLimit: 255, message: na}
}

func TestNDPAdvertisementsAreHeard(t *testing.T) {
	link := self().LinkLocal
	for name, tc := range map[string]struct {
		frame ndpFields
		want  neighbor.Sound
		mac   neighbor.MAC
	}{
		"solicited": {advertise(vip6, link, ourMAC, &ndp.NeighborAdvertisement{
			TargetAddress: vip6, Solicited: true, Options: []ndp.Option{targetLL(clientMAC)},
		}), neighbor.HeardAnswer, clientMAC},
		"solicited without option": {advertise(vip6, link, ourMAC, &ndp.NeighborAdvertisement{
			TargetAddress: vip6, Solicited: true,
		}), neighbor.HeardAnswer, otherMAC},
		"unsolicited": {advertise(vip6, nodes6, groupOf(nodes6), &ndp.NeighborAdvertisement{
			TargetAddress: vip6, Override: true, Options: []ndp.Option{targetLL(clientMAC)},
		}), neighbor.HeardClaim, clientMAC},
		"unsolicited to us": {advertise(vip6, link, ourMAC, &ndp.NeighborAdvertisement{
			TargetAddress: vip6, Override: true, Options: []ndp.Option{targetLL(clientMAC)},
		}), neighbor.HeardClaim, clientMAC},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(tc.frame.frame(t))
			wantDrop(t, v, neighbor.DropNotAQuestion)
			if h := v.Heard; h.Sound != tc.want || h.Addr != vip6 || h.MAC != tc.mac || h.EtherSource != otherMAC || h.Marked {
				t.Errorf("heard %+v, want %v by %v", h, tc.want, tc.mac)
			}
		})
	}
}

func TestNDPSolicitationFromTheAddressIsAClaim(t *testing.T) {
	f := solicit()
	f.src, f.message = vip6, solicitation(foreign6, sourceLL(clientMAC))
	v := decide(f.frame(t))
	wantDrop(t, v, neighbor.DropUnknown)
	if h := v.Heard; h.Sound != neighbor.HeardClaim || h.Addr != vip6 || h.MAC != clientMAC {
		t.Errorf("heard %+v", h)
	}
}

func TestNDPMarkedQuestionIsHeardAndAnsweredWithItsNonce(t *testing.T) {
	for _, to := range []neighbor.MAC{everyone, ourMAC} {
		q, ok := neighbor.Question(peer().Self(), vip6, to, neighbor.OwnAddress, neighbor.Mark{Nonce: 12})
		if !ok {
			t.Fatal("no question")
		}
		v := decide(q)
		got := wantAnswer6(t, v, peerMAC, peer().Self().LinkLocal)
		if got.mark.Nonce != 12 {
			t.Errorf("answer's mark %+v", got.mark)
		}
		if h := v.Heard; h.Sound != neighbor.HeardQuestion || !h.Marked || h.MAC != peerMAC || h.Mark.Nonce != 12 || h.Unicast != (to == ourMAC) {
			t.Errorf("heard %+v", h)
		}
	}
}

func TestNDPAnswerOfAPeerIsHeardMarked(t *testing.T) {
	q, _ := neighbor.Question(self(), mute6, peerMAC, neighbor.OwnAddress, neighbor.Mark{Nonce: 5})
	v := decide(peer().Decide(nil, q, open()).Reply)
	wantDrop(t, v, neighbor.DropNotAQuestion)
	if h := v.Heard; h.Sound != neighbor.HeardAnswer || !h.Marked || h.Addr != mute6 || h.MAC != peerMAC || h.Mark.Nonce != 5 {
		t.Errorf("heard %+v", h)
	}
}

// A peer defends an address against somebody's duplicate address detection: that is an
// answer, although it goes to all nodes and is not solicited.
func TestNDPDefenceOfAPeerIsAnAnswer(t *testing.T) {
	f := solicit()
	f.src, f.message = zero6, solicitation(vip6)
	v := decide(peer().Decide(nil, f.frame(t), open()).Reply)
	if h := v.Heard; h.Sound != neighbor.HeardAnswer || !h.Marked {
		t.Errorf("heard %+v", h)
	}
}

func TestNDPClaimOfAPeerIsHeardMarked(t *testing.T) {
	frames, ok := peer().Claim(vip6, open(), 9)
	if !ok {
		t.Fatal("no claim")
	}
	for _, f := range frames {
		v := decide(f)
		wantDrop(t, v, neighbor.DropNotAQuestion)
		if h := v.Heard; h.Sound != neighbor.HeardClaim || !h.Marked || h.Addr != vip6 || h.Mark.Nonce != 9 {
			t.Errorf("heard %+v", h)
		}
	}
}
