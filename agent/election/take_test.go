// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"
)

func TestTaking(t *testing.T) {
	const ms = time.Millisecond
	for name, story := range map[string]func(t *testing.T){
		"(a) a vacant Lease is taken after asking": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).writesNothing("before asking").pass(150 * ms)
			if n := count[Ask](p.done); n != 3 {
				t.Errorf("asked %d times, want 3", n)
			}
			p.swap("n").silent("before the write is known").swapped(true).speaks("after it").because(Vacant)
		},
		"(a) the second candidate waits a step": func(t *testing.T) {
			newPlayer(t).policy("o", "n").pulse().lease("", 2).
				pass(140 * ms).writesNothing("too early").pass(15 * ms).swap("n")
		},
		"(a) not before the own heartbeats come back": func(t *testing.T) {
			newPlayer(t).policy("n").lease("", 2).pass(5 * second).phase(Standby).pulse().pass(second).swap("n")
		},
		"(b) an agent that starts again asks, and speaks": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").lease("n", 3).pass(second).silent("without heartbeat")
			p.pulse().step(LeaseRead{Lease: lease("n", 3), OK: true}).silent("before asking").
				pass(150 * ms).writesNothing("it holds the Lease").speaks("after asking").because(Resumed)
		},
		"(b) the quorum knows another holder": func(t *testing.T) {
			newPlayer(t).policy("n", "o").pulse().lease("n", 3).
				step(LeaseRead{Lease: lease("o", 4), OK: true}).live(3 * second).silent("after the read").phase(Standby)
		},
		"(b) the read fails: it is read again": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("n", 3).step(LeaseRead{})
			p.pass(1100 * ms)
			if n := count[ReadLease](p.done); n != 2 {
				t.Errorf("read %d times, want 2", n)
			}
		},
		"(b) somebody answers: it stays silent and asks again": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("n", 3).
				step(LeaseRead{Lease: lease("n", 3), OK: true}).hearFrom("", 3).pass(900 * ms).silent("while somebody speaks")
			p.pass(200 * ms).step(LeaseRead{Lease: lease("n", 3), OK: true}).pass(200 * ms).speaks("once nobody does")
		},
		"(c) a heartbeat that stands still for the Lease's duration": func(t *testing.T) {
			silentOwner(t).writesNothing("before asking").pass(150*ms).swap("n").swapped(true).
				silent("before the heartbeat was read again").peer("o", "beat").speaks("after it").because(OwnerSilent)
		},
		"(c) a heartbeat that is gone stands still too": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").lease("o", 3)
			for range 5 {
				p.pulse().peer("o", "").pass(2 * second)
			}
			p.swap("n")
		},
		"(c) a heartbeat that goes on": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").lease("o", 3)
			for i := range 20 {
				p.pulse().peer("o", string(rune('a'+i/3))).pass(2 * second)
			}
			p.writesNothing("the owner lives").phase(Standby)
		},
		"(c) own heartbeats did not come back: not taken": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").lease("o", 3).pulse()
			for range 10 {
				p.peer("o", "beat").pass(2 * second)
			}
			p.writesNothing("this node may be blind")
			for range 3 { // and not at once when they do again
				p.pulse().peer("o", "beat").pass(2 * second)
			}
			p.writesNothing("it was blind until lately").pulse().peer("o", "beat").pass(second).swap("n")
		},
		"(c) the owner came back while the Lease was written: it has time to see that": func(t *testing.T) {
			p := silentOwner(t).pass(150*ms).swapped(true).peer("o", "new beat")
			p.live(5 * second).silent("the old owner may speak").live(2 * second).speaks("it cannot any more")
		},
		"(c) hurries once a heartbeat is late": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").lease("o", 3).peer("o", "beat")
			if f := p.state.Follows(); len(f) != 1 || f[0].Every != 2*second {
				t.Errorf("follows %v at first", f)
			}
			if f := p.pass(4*second).peer("o", "beat").state.Follows(); f[0].Every >= second {
				t.Errorf("follows %v when it is late", f)
			}
		},
		"an answering VIP is left alone": func(t *testing.T) {
			p := silentOwner(t)
			for range 5 {
				p.pulse().hear(3).phase(Standby).pass(second + 50*ms).phase(Asking)
			}
			p.hear(3).writesNothing("it answers")
		},
		"a voice during the write: asks again": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(150 * ms)
			p.hearFrom("", 1).swapped(true).silent("somebody spoke").phase(Confirming).
				step(LeaseRead{Lease: lease("n", 3), OK: true}).pass(150 * ms).speaks("after asking again")
		},
		"a candidate's voice during the write: gives it the Lease": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(150 * ms)
			p.hear(1).swapped(true).silent("o spoke").swap("o").swapped(true).phase(Standby)
		},
		"(b) a candidate answers: gives it the Lease": func(t *testing.T) {
			newPlayer(t).policy("n", "o").pulse().lease("n", 3).
				step(LeaseRead{Lease: lease("n", 3), OK: true}).hear(3).silent("o speaks").swap("o").swapped(true).phase(Standby)
		},
		"late swap success asks again": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(150 * ms).swap("n")
			p.live(3 * second).swapped(true).silent("at once")
			if count[Ask](p.done) == 0 {
				t.Error("asked nothing")
			}
			p.pass(150 * ms).speaks("after asking")
		},
		"a write that failed but was done": func(t *testing.T) {
			p := silentOwner(t).pass(150*ms).swap("n").swapped(false).phase(Standby).lease("n", 4)
			p.step(LeaseRead{Lease: lease("n", 4), OK: true}).pass(150 * ms).silent("o's heartbeat was not read since")
			p.peer("o", "beat").speaks("it was").because(OwnerSilent)
		},
		"a conflict: waits, and looks again": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(150 * ms).swap("n").swapped(false)
			p.lease("o", 3).live(3 * second).writesNothing("o has it").phase(Standby)
		},
		"held up between question and write: asks again": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(90 * ms)
			p.now += 3 * second
			p.step(Tick{}).writesNothing("the question is old").pass(150 * ms).swap("n")
		},
		"displaced by the manager: answers or not": func(t *testing.T) {
			p := newPlayer(t).lease("o", 3).pulse()
			order := policy("o", "n")
			order.DisplaceUID, order.DisplaceTransitions = "u", 3
			p.step(PolicySeen{Policy: order}).hear(3).pass(150 * ms).swap("n").hear(3).swapped(true).
				speaks("by order").because(Displaced)
		},
		"displaced in another epoch": func(t *testing.T) {
			p := newPlayer(t).lease("o", 4).pulse()
			order := policy("o", "n")
			order.DisplaceUID, order.DisplaceTransitions = "u", 3
			p.step(PolicySeen{Policy: order}).live(3 * second).writesNothing("that order is over")
		},
		"not a candidate": func(t *testing.T) {
			newPlayer(t).policy("o").lease("", 2).live(3 * second).writesNothing("no candidate").phase(Idle)
		},
		"the Lease of another Service": func(t *testing.T) {
			l := lease("", 2)
			l.ServiceUID = "other"
			newPlayer(t).policy("n").step(LeaseSeen{Lease: l}).live(3 * second).writesNothing("not its Lease").phase(Idle)
		},
	} {
		t.Run(name, story)
	}
}
