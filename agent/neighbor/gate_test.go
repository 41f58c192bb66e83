// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Each rule of the gate holds for answers by ARP and NDP and for claims alike.
func TestGate(t *testing.T) {
	es := entries()
	for i := range es {
		es[i].NeedsEcho = true
	}
	echo := neighbor.NewTable(self(), es)
	now := open().Now
	for name, tc := range map[string]struct {
		table  *neighbor.Table
		change func(*neighbor.Gate)
		want   neighbor.Drop
		claims bool
	}{
		"open":                      {echo, func(*neighbor.Gate) {}, neighbor.DropNone, true},
		"loop at the limit":         {echo, func(g *neighbor.Gate) { g.Tick = now - neighbor.TickLimit }, neighbor.DropNone, true},
		"loop late":                 {echo, func(g *neighbor.Gate) { g.Tick = now - neighbor.TickLimit - 1 }, neighbor.DropLoopLate, false},
		"loop never ran":            {echo, func(g *neighbor.Gate) { g.Now, g.Tick = time.Millisecond, 0 }, neighbor.DropLoopLate, false},
		"loop ran meanwhile":        {echo, func(g *neighbor.Gate) { g.Tick = now + 1 }, neighbor.DropNone, true},
		"frame at the limit":        {echo, func(g *neighbor.Gate) { g.FrameAge = neighbor.FrameLimit }, neighbor.DropNone, true},
		"frame stale":               {echo, func(g *neighbor.Gate) { g.FrameAge = neighbor.FrameLimit + 1 }, neighbor.DropStale, true},
		"frame of the future":       {echo, func(g *neighbor.Gate) { g.FrameAge = -time.Second }, neighbor.DropStale, true},
		"frame on another CPU":      {echo, func(g *neighbor.Gate) { g.FrameAge = -time.Microsecond }, neighbor.DropNone, true},
		"echo just fresh":           {echo, func(g *neighbor.Gate) { g.EchoUntil = now + 1 }, neighbor.DropNone, true},
		"echo ends now":             {echo, func(g *neighbor.Gate) { g.EchoUntil = now }, neighbor.DropNoEcho, false},
		"echo never":                {echo, func(g *neighbor.Gate) { g.EchoUntil = 0 }, neighbor.DropNoEcho, false},
		"echo gone, may outlive it": {table(), func(g *neighbor.Gate) { g.EchoUntil = 0 }, neighbor.DropNone, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := open()
			tc.change(&g)
			for proto, frame := range map[string][]byte{"ARP": request().frame(t), "NDP": solicit().frame(t)} {
				v := tc.table.Decide(nil, frame, g)
				if v.Drop != tc.want || (v.Reply != nil) != (tc.want == neighbor.DropNone) {
					t.Errorf("%s: %v with %d octets, want %v", proto, v.Drop, len(v.Reply), tc.want)
				}
				if got := v.Drop.Gate(); got != (tc.want != neighbor.DropNone) {
					t.Errorf("%s: Gate() %v", proto, got)
				}
			}
			if _, ok := tc.table.Claim(vip4, g, 0); ok != tc.claims {
				t.Errorf("ARP claim %v, want %v", ok, tc.claims)
			}
			if _, ok := tc.table.Claim(vip6, g, 0); ok != tc.claims {
				t.Errorf("NDP claim %v, want %v", ok, tc.claims)
			}
		})
	}
}

func TestAShutGateStillHears(t *testing.T) {
	q, _ := neighbor.Question(peer().Self(), vip4, everyone, neighbor.OwnAddress, neighbor.Mark{})
	g := open()
	g.FrameAge = time.Second
	v := table().Decide(nil, q, g)
	if v.Drop != neighbor.DropStale || v.Heard.Sound != neighbor.HeardQuestion || v.Heard.Age != time.Second {
		t.Errorf("verdict %v, heard %+v", v.Drop, v.Heard)
	}
}

func TestEveryDropHasAName(t *testing.T) {
	seen := map[string]bool{}
	for d := range neighbor.NumDrops {
		if s := d.String(); s == "" || s == "invalid" || seen[s] {
			t.Errorf("drop %d is called %q", d, s)
		}
		seen[d.String()] = true
	}
	if neighbor.NumDrops.String() != "invalid" || neighbor.NumDrops.Gate() {
		t.Error("NumDrops is a reason")
	}
}
