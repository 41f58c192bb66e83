// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Where nothing may be broadcast nobody can vouch, and there is no verdict.
func TestNoBroadcastNoVerdict(t *testing.T) {
	w := newWorld(t)
	w.d.cfg.Broadcasts = 0
	all := addrs(10, false)
	c := w.card(1, all...)
	w.gateway(Path{"eth0", false})
	w.stand(1, "eth0", all...)
	w.run(5 * sec)
	c.speaks[all[0]] = false
	w.run(5 * sec)
	c.dead = true
	w.run(5 * sec)
	if got := of[Dead](w, 0); len(got) > 0 {
		t.Errorf("told %+v", got[0])
	}
}

// Who may give a verdict: the tables of witnesses.
func TestProof(t *testing.T) {
	for _, tc := range []struct {
		name     string
		gateways []bool // each: answers during the suspicion
		others   []bool
		forgot   bool // the gateways did not answer for more than a minute before
		want     bool
	}{
		{name: "nobody", want: false},
		{name: "gateway", gateways: []bool{true}, want: true},
		{name: "gateway silent", gateways: []bool{false}, others: []bool{true, true, true}, want: false},
		{name: "second gateway", gateways: []bool{false, true}, want: true},
		{name: "gateway long silent", gateways: []bool{false}, others: []bool{true, true}, forgot: true, want: true},
		{name: "one of one", others: []bool{true}, want: true},
		{name: "one of two", others: []bool{true, false}, want: false},
		{name: "two of three", others: []bool{true, true, false}, want: true},
		{name: "none of two", others: []bool{false, false}, want: false},
	} {
		for _, v6 := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				w := newWorld(t)
				a := addr(1, v6)
				c := w.card(1, a)
				var ws []Witness
				var cs []*card
				var answers []bool
				add := func(gateway, ok bool) {
					n := 900 + len(ws)
					wc := &card{delay: ms}
					w.wits[addr(n, v6)] = wc
					ws, cs, answers = append(ws, Witness{Addr: addr(n, v6), Card: mac(n), Gateway: gateway}), append(cs, wc), append(answers, ok)
				}
				for _, ok := range tc.gateways {
					add(true, ok)
				}
				for _, ok := range tc.others {
					add(false, ok)
				}
				w.d.Witnesses(w.now, Path{"eth0", v6}, ws)
				w.take()
				w.stand(1, "eth0", a)
				w.run(20 * sec)
				if tc.forgot {
					for i := range tc.gateways {
						cs[i].dead = true
					}
					w.run(80 * sec)
				}
				for i, ok := range answers {
					cs[i].dead = !ok
				}
				c.dead = true
				w.run(2 * sec)
				if got := w.dead(a.String(), 0) != 0; got != tc.want {
					t.Errorf("verdict %v, want %v", got, tc.want)
				}
			})
		}
	}
}

// The suspect's own kernel is no witness in its own case.
func TestSuspectIsNoWitness(t *testing.T) {
	w := newWorld(t)
	a := addr(1, false)
	c := w.card(1, a)
	cs := w.witnesses(Path{"eth0", false}, false, 1, 2)
	w.stand(1, "eth0", a)
	w.run(20 * sec)
	c.dead, cs[0].dead = true, true
	w.run(sec)
	if w.dead(a.String(), 0) == 0 {
		t.Error("the third node answers; no verdict")
	}
}

// One LAN of a node is dead, or one family: the others are not, and the Lease's dead
// addresses are told together.
func TestPathsAreJudgedAlone(t *testing.T) {
	w := newWorld(t)
	a4, a6, b4 := addr(1, false), addr(1, true), addr(2, false)
	c1, c2, c3 := w.card(1, a4), w.card(2, b4), w.card(3, a6)
	w.gateway(Path{"eth0", false})
	w.gateway(Path{"eth0", true})
	w.gateway(Path{"eth1", false})
	w.d.Follow(w.now, "l", View{Role: Stand, Near: true, Since: w.now, Transitions: 1, Places: []Place{
		{Addr: a4, Interface: "eth0", Speaker: mac(1)},
		{Addr: b4, Interface: "eth1", Speaker: mac(2)},
		{Addr: a6, Interface: "eth0", Speaker: mac(3)},
	}})
	w.run(3 * sec)
	from := w.now
	c2.dead = true
	w.run(500 * ms)
	if diff := cmp.Diff(map[string]bool{b4.String(): true}, names(w, from)); diff != "" {
		t.Error(diff)
	}
	from = w.now
	c1.dead, c3.dead = true, true
	w.run(1500 * ms)
	all := of[Dead](w, from)
	if n := len(all[len(all)-1].Addrs); n != 3 {
		t.Errorf("the last Dead names %d addresses, want 3", n)
	}
	if a := of[Audible](w, 0); len(a) != 2 || a[1].OK {
		t.Errorf("audible: %+v, want false only after all of its cards fell silent", a)
	}
}
