// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// later is a table that speaks for the VIPs in an epoch.
func (n *node) later(transitions uint32) *neighbor.Table {
	var es []neighbor.Entry
	for _, addr := range vips {
		es = append(es, neighbor.Entry{Addr: addr, Voice: true, Transitions: transitions, Standing: neighbor.StandingLease})
	}
	return neighbor.NewTable(n.Table().Self(), es)
}

// ask puts a marked question for the address and tells how many answers come at once.
func (n *node) ask(addr netip.Addr) (answers int) {
	q, _ := neighbor.Question(n.Table().Self(), addr, neighbor.Broadcast(), neighbor.OwnAddress, neighbor.Mark{})
	if err := n.Send(q); err != nil {
		n.t.Fatal(err)
	}
	for end := time.After(50 * time.Millisecond); ; {
		select {
		case h := <-n.heard:
			if h.Sound == neighbor.HeardAnswer {
				answers++
			}
		case <-end:
			return answers
		}
	}
}

// A speaker that hears the claim of a later epoch neither answers nor announces, before its
// loop has done anything; and it does both again when no such voice is heard any more.
func TestClaimOfALaterEpochSilencesAtOnce(t *testing.T) {
	l := newLab(t)
	old, fresh := l.node("node1"), l.node("node2")
	old.SetTable(old.later(3))
	fresh.SetTable(fresh.later(4))
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", neighbor.SolicitedNode(vip6)))
	for _, addr := range vips {
		if n := fresh.ask(addr); n != 1 {
			t.Fatalf("%v: %d answers at first", addr, n)
		}
		// The question is right behind the claim in the socket of the old speaker.
		fresh.Claim(addr)
		if n := fresh.ask(addr); n != 0 {
			t.Errorf("%v: %d answers beside a later epoch", addr, n)
		}
		eventually(t, time.Second, "announces no more", func() bool { return fresh.Claim(addr) > 0 && old.Claim(addr) == 0 })
		eventually(t, time.Second, "speaks again", func() bool { return fresh.ask(addr) == 1 && old.Claim(addr) > 0 })
	}
	if c := old.Counters(); c.Drops[neighbor.DropHigher] == 0 {
		t.Errorf("counters %+v", c)
	}
}
