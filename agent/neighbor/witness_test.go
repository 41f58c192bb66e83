// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

var (
	gateway4 = netip.MustParseAddr("192.0.2.254")
	gateway6 = netip.MustParseAddr("fe80::fe")
)

func witnesses() *neighbor.Table {
	es := entries()
	for _, a := range []netip.Addr{gateway4, gateway6} {
		es = append(es, neighbor.Entry{Addr: a, Witness: true, Voice: true, Join: true})
	}
	return neighbor.NewTable(self(), es)
}

// reply is the gateway's answer to this card, as changed by the callers.
func reply(change func(*arpFields)) arpFields {
	f := arpFields{
		to: ourMAC, from: clientMAC, op: arp.OperationReply,
		sha: clientMAC, spa: gateway4, tha: ourMAC, tpa: self().IPv4,
	}
	change(&f)
	return f
}

func advice(change func(*ndpFields, *ndp.NeighborAdvertisement)) ndpFields {
	na := &ndp.NeighborAdvertisement{Solicited: true, Router: true, TargetAddress: gateway6}
	f := ndpFields{
		to: ourMAC, from: clientMAC, src: gateway6, dst: self().LinkLocal, hopLimit: 255, message: na,
	}
	change(&f, na)
	return f
}

func TestOnlyTheAnswerOfAWitnessIsHeard(t *testing.T) {
	any4 := request()
	any4.tpa = gateway4
	from4 := request()
	from4.spa, from4.tpa = gateway4, foreign4
	zero := request()
	zero.spa, zero.tpa = zero4, gateway4
	garp := reply(func(f *arpFields) { f.op, f.tpa = arp.OperationRequest, gateway4 })
	any6, dad := solicit(), solicit()
	any6.to, any6.dst, any6.message = groupOf(solicitedNode(gateway6)), solicitedNode(gateway6), solicitation(gateway6, sourceLL(clientMAC))
	dad.to, dad.dst, dad.src, dad.message = any6.to, any6.dst, zero6, solicitation(gateway6)
	from6 := solicit()
	from6.src, from6.message = gateway6, solicitation(foreign6, sourceLL(clientMAC))
	for name, tc := range map[string]struct {
		frame []byte
		heard bool
		addr  netip.Addr
	}{
		"ARP answer":               {frame: reply(func(*arpFields) {}).frame(t), heard: true, addr: gateway4},
		"ARP answer to all":        {frame: reply(func(f *arpFields) { f.to = everyone }).frame(t)},
		"ARP announcement":         {frame: garp.frame(t)},
		"ARP announced by a reply": {frame: reply(func(f *arpFields) { f.tpa = gateway4 }).frame(t)},
		"question for it":          {frame: any4.frame(t)},
		"question of it":           {frame: from4.frame(t)},
		"ARP probe":                {frame: zero.frame(t)},
		"NDP answer":               {frame: advice(func(*ndpFields, *ndp.NeighborAdvertisement) {}).frame(t), heard: true, addr: gateway6},
		"NDP answer with option": {frame: advice(func(_ *ndpFields, na *ndp.NeighborAdvertisement) {
			na.Options = []ndp.Option{targetLL(clientMAC)}
		}).frame(t), heard: true, addr: gateway6},
		"unsolicited": {frame: advice(func(_ *ndpFields, na *ndp.NeighborAdvertisement) { na.Solicited = false }).frame(t)},
		"to all nodes": {frame: advice(func(f *ndpFields, na *ndp.NeighborAdvertisement) {
			f.to, f.dst, na.Solicited = groupOf(nodes6), nodes6, false
		}).frame(t)},
		"solicitation for it": {frame: any6.frame(t)},
		"solicitation of it":  {frame: from6.frame(t)},
		"DAD":                 {frame: dad.frame(t)},
	} {
		t.Run(name, func(t *testing.T) {
			v := witnesses().Decide(nil, tc.frame, open())
			if v.Reply != nil {
				t.Error("answered")
			}
			if !tc.heard {
				if v.Drop != neighbor.DropUnknown || v.Heard.Sound != neighbor.Silence {
					t.Errorf("%v, heard %+v", v.Drop, v.Heard)
				}
				return
			}
			if h := v.Heard; v.Drop != neighbor.DropNotAQuestion || h.Sound != neighbor.HeardWitness || h.Addr != tc.addr ||
				h.MAC != clientMAC || h.Marked || !h.Unicast {
				t.Errorf("%v, heard %+v", v.Drop, h)
			}
		})
	}
}

func TestBrokenAnswerOfAWitnessIsNone(t *testing.T) {
	bad := advice(func(f *ndpFields, _ *ndp.NeighborAdvertisement) { f.badSum = true })
	if v := witnesses().Decide(nil, bad.frame(t), open()); v.Drop != neighbor.DropChecksum || v.Heard.Sound != neighbor.Silence {
		t.Errorf("%v, heard %+v", v.Drop, v.Heard)
	}
}

// A gateway asks for a VIP all the time: that is a question, and no claim to its own address.
func TestWitnessIsAnsweredLikeAnybody(t *testing.T) {
	q4 := request()
	q4.spa = gateway4
	q6 := solicit()
	q6.src = gateway6
	for _, frame := range [][]byte{q4.frame(t), q6.frame(t)} {
		if v := witnesses().Decide(nil, frame, open()); v.Reply == nil || v.Heard.Sound != neighbor.Silence {
			t.Errorf("%v, heard %+v", v.Drop, v.Heard)
		}
	}
}

func TestWitnessHasNoVoiceAndNoGroup(t *testing.T) {
	tab := witnesses()
	if e, ok := tab.Lookup(gateway6); !ok || e != (neighbor.Entry{Addr: gateway6, Witness: true}) {
		t.Errorf("entry %+v", e)
	}
	if _, ok := tab.Groups()[solicitedNode(gateway6)]; ok {
		t.Error("joins its group")
	}
	if _, ok := tab.Claim(gateway4, open(), 1); ok {
		t.Error("claimed")
	}
}

func TestVIPIsNoWitness(t *testing.T) {
	vip, witness := entries()[0], neighbor.Entry{Addr: vip4, Witness: true}
	for _, es := range [][]neighbor.Entry{{vip, witness}, {witness, vip}} {
		if e, _ := neighbor.NewTable(self(), es).Lookup(vip4); e != vip {
			t.Errorf("entry %+v", e)
		}
	}
}
