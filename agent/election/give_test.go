// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"
)

// peers brings the heartbeats that a giver looks for.
func (p *player) peers(leaving bool) *player {
	for _, f := range p.state.Follows() {
		p.step(PeerBeat{Node: f.Node, Asked: p.now, Came: p.now, Seen: "beat", Leaving: leaving})
	}
	return p
}

func withPolicy(change func(*Policy)) PolicySeen {
	p := policy("n", "o", "q")
	change(&p)
	return PolicySeen{Policy: p}
}

func TestGiving(t *testing.T) {
	const ms = time.Millisecond
	excluded := withPolicy(func(p *Policy) { p.Excluded = "by name" })
	move := withPolicy(func(p *Policy) { p.MoveTo = "q" })
	for name, story := range map[string]func(t *testing.T){
		"handover: speaks on until the receiver is heard": func(t *testing.T) {
			p := speaker(t).step(Leave{}).speaks("before the write").peers(false).swap("o").
				swapped(true).speaks("before o is heard").pass(100 * ms).hear(3).speaks("that was not o")
			if a, ok := find[Ask](p.done); !ok || a.Node != "o" {
				t.Errorf("asks o's card: %+v, %t", a, ok)
			}
			p.hear(4).silent("o is heard").because(Leaving).phase(Idle)
		},
		"no candidate any more: hands over to one that takes it": func(t *testing.T) {
			gone := withPolicy(func(p *Policy) { p.Candidates = []string{"o", "q"} })
			speaker(t).step(gone).peers(false).swap("o").swapped(true).speaks("before o is heard").
				hear(4).because(Unlisted).phase(Idle)
		},
		"no candidate any more, and nobody takes it: speaks on": func(t *testing.T) {
			gone := withPolicy(func(p *Policy) { p.Candidates = []string{"o"} })
			speaker(t).step(gone).peers(true).writesNothing("o is leaving").speaks("on").phase(Speaking)
		},
		"an empty list silences nobody": func(t *testing.T) {
			none := withPolicy(func(p *Policy) { p.Candidates = nil })
			speaker(t).step(none).writesNothing("nobody could take it").speaks("on").phase(Speaking)
		},
		"receiver mute: taken back, then the next": func(t *testing.T) {
			p := speaker(t).step(Leave{}).peers(false).swap("o").swapped(true).pass(490 * ms).
				writesNothing("in time").pass(20 * ms).swap("n").speaks("all the while").swapped(true).speaks("again")
			p.peers(false).swap("q").swapped(true).hear(6).silent("q is heard")
		},
		"a receiver heard while it is taken back: given again": func(t *testing.T) {
			p := speaker(t).step(Leave{}).peers(false).swap("o").swapped(true).pass(510 * ms).swap("n")
			p.hear(4).silent("o is heard").swapped(true).silent("o was heard").peers(false).swap("o")
		},
		"the answer of the write is lost: the watch tells": func(t *testing.T) {
			p := speaker(t).step(Leave{}).peers(false).swap("o").lease("o", 4).pass(50 * ms)
			if count[Ask](p.done) == 0 {
				t.Error("does not ask o's card")
			}
			p.swapped(false).speaks("on").hear(4).silent("o is heard")
		},
		"the write fails: looks again": func(t *testing.T) {
			speaker(t).step(Leave{}).peers(false).swap("o").swapped(false).live(second).
				speaks("meanwhile").swap("o")
		},
		"held up while listening: asks before it takes back": func(t *testing.T) {
			p := speaker(t).step(Leave{}).peers(false).swap("o").swapped(true)
			p.now += 2 * second
			p.step(Tick{}).writesNothing("o may speak").pass(510 * ms).swap("n")
		},
		"heartbeats end meanwhile: silent": func(t *testing.T) {
			p := speaker(t).step(Leave{}).peers(false).swap("o")
			p.pass(5 * second).silent("the write hangs").because(CutOff)
		},
		"everybody leaving: released, silent first": func(t *testing.T) {
			speaker(t).step(Leave{}).peers(true).silent("somebody may take it from now on").swap("").
				swapped(true).phase(Idle)
		},
		"a heartbeat that cannot be read: given there at last": func(t *testing.T) {
			p := speaker(t).step(Leave{})
			p.step(PeerBeat{Node: "o", Asked: p.now, Came: p.now, Seen: "beat", Leaving: true})
			p.pass(310 * ms).swap("q")
		},
		"excluded with nobody else: released": func(t *testing.T) {
			alone := withPolicy(func(p *Policy) { p.Excluded, p.Candidates = "by name", []string{"n"} })
			p := speaker(t).step(alone).silent("it must").because(Excluded).swap("")
			p.swapped(true).live(5 * second).writesNothing("it may not").phase(Idle)
		},
		"excluded: handed over": func(t *testing.T) {
			speaker(t).step(excluded).peers(false).swap("o").swapped(true).speaks("until o is heard").
				hear(4).because(Excluded)
		},
		"exclusion taken back while looking: speaks on": func(t *testing.T) {
			speaker(t).step(excluded).policy("n", "o", "q").peers(false).live(second).
				speaks("as before").phase(Speaking).writesNothing("it may")
		},
		"no interface: silent at once, handed over": func(t *testing.T) {
			speaker(t).step(withPolicy(func(p *Policy) { p.Unservable, p.Servable = "no carrier", nil })).silent("it cannot").
				because(CannotServe).peers(false).swap("o").swapped(true).phase(Idle)
		},
		"no interface, while it hands over": func(t *testing.T) {
			speaker(t).step(excluded).peers(false).swapped(true).
				step(withPolicy(func(p *Policy) { p.Unservable, p.Servable = "no carrier", nil })).silent("it cannot")
		},
		"moveTo": func(t *testing.T) {
			speaker(t).step(move).peers(false).swap("q").swapped(true).hear(4).because(Moved)
		},
		"moveTo that fails keeps speaking": func(t *testing.T) {
			p := speaker(t).step(move).peers(false).swap("q").swapped(true).live(510 * ms).swap("n").swapped(true)
			p.phase(Speaking).live(50 * second).speaks("q is mute").writesNothing("for a while")
		},
		"moveTo a node that leaves keeps speaking": func(t *testing.T) {
			p := speaker(t).step(move).peers(true).phase(Speaking).speaks("q leaves")
			for range 300 { // it is looked at again now and then, and still leaves
				p.live(100 * ms).peers(true).writesNothing("it leaves")
			}
		},
		"one that did not take it is tried again, later each time": func(t *testing.T) {
			p := speaker(t).step(withPolicy(func(p *Policy) { p.Candidates = []string{"q"} }))
			for _, pause := range []Time{2 * second, 4 * second, 8 * second} {
				p.peers(false).swap("q").swapped(true).live(510 * ms).swap("n").swapped(true).phase(Speaking)
				p.live(pause - 600*ms).writesNothing("it was just tried").live(600 * ms)
			}
		},
		"given to a node that leaves: it waits for the giver to take it back": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").pulse().lease("o", 3).step(Leave{}).lease("n", 4).
				pass(900 * ms).writesNothing("o is about to")
			p.pass(200 * ms).phase(Giving) // o is gone
		},
		"given: reads and asks, does not mind the giver, speaks": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").pulse().lease("o", 3).lease("n", 4)
			mine := LeaseRead{Lease: lease("n", 4), OK: true}
			p.hear(3).step(mine).hear(3).pass(150 * ms).silent("the last read is out").
				step(mine).speaks("in epoch 4").because(Given)
		},
		"given, but taken back while it asked: the last read tells": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").pulse().lease("o", 3).lease("n", 4)
			p.step(LeaseRead{Lease: lease("n", 4), OK: true}).pass(150 * ms).
				step(LeaseRead{Lease: lease("o", 5), OK: true}).silent("o has it again").phase(Standby)
		},
		"given, and the last read was slow: begins anew": func(t *testing.T) {
			mine := LeaseRead{Lease: lease("n", 4), OK: true}
			p := newPlayer(t).policy("o", "n").pulse().lease("o", 3).lease("n", 4)
			p.step(mine).pass(700 * ms).step(mine).silent("o may have it again").phase(Confirming).
				step(mine).pass(150 * ms).step(mine).speaks("now it is sure")
		},
		"SIGTERM while the Lease is written": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("", 2).pass(150 * ms).swap("n")
			p.step(Leave{}).phase(Swapping).swapped(true).silent("it leaves").phase(Giving).peers(false).swap("o").
				swapped(true).phase(Idle)
		},
		"taken by another hand meanwhile": func(t *testing.T) {
			speaker(t).step(Leave{}).peers(false).swapped(true).lease("q", 5).silent("q has it").because(Lost).phase(Idle)
		},
		"the receiver gives it back: not given there again": func(t *testing.T) {
			speaker(t).step(Leave{}).peers(false).swap("o").swapped(true).lease("n", 5).peers(false).swap("q")
		},
		"Lease made anew meanwhile": func(t *testing.T) {
			other := lease("n", 0)
			other.UID = "v"
			speaker(t).step(Leave{}).peers(false).swap("o").step(LeaseSeen{Lease: other}).
				speaks("by the wire").phase(Giving).peers(false).swap("o")
		},
	} {
		t.Run(name, story)
	}
}
