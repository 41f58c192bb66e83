// SPDX-License-Identifier: Apache-2.0

package election

import (
	"testing"
	"time"
)

func TestSpeaking(t *testing.T) {
	const ms = time.Millisecond
	for name, story := range map[string]func(t *testing.T){
		"goes on with its heartbeats, and writes nothing": func(t *testing.T) {
			speaker(t).live(time.Minute).speaks("a minute later").writesNothing("in a minute")
		},
		"interrupted heartbeats: silent; again only after read and question": func(t *testing.T) {
			p := speaker(t).pulse().pass(4900 * ms).speaks("before the margin").pass(200 * ms).
				silent("after it").because(CutOff)
			p.pass(10 * second).silent("without heartbeat").done = nil
			p.pulse().pass(second).silent("before the read").
				step(LeaseRead{Lease: lease("n", 3), OK: true}).silent("before the question").
				pass(150 * ms).speaks("after it").because(Resumed)
		},
		"a heartbeat that comes back after the margin renews nothing": func(t *testing.T) {
			p := speaker(t)
			sent := p.now + 4*second
			p.now += 6 * second // held up: no Tick came
			p.step(Pulse{Heart: p.state.heart.Echoed(sent, 4*second)}).silent("it was over before").because(CutOff)
		},
		"interrupted: another node took the Lease": func(t *testing.T) {
			speaker(t).pass(6 * second).pulse().step(LeaseRead{Lease: lease("o", 4), OK: true}).
				live(3 * second).silent("o has it").phase(Standby)
		},
		"no other candidate: needs no heartbeat": func(t *testing.T) {
			p := speaker(t).policy("n").pass(time.Hour).speaks("nobody else could")
			if p.state.NeedsEcho() {
				t.Error("needs its heartbeats")
			}
			p.policy("n", "o").silent("now somebody could").because(CutOff)
		},
		"the Lease went to another node": func(t *testing.T) {
			speaker(t).lease("o", 4).silent("o has it").because(Lost)
		},
		"older watch event does not undo a newer write": func(t *testing.T) {
			speaker(t).lease("", 2).lease("o", 1).speaks("in epoch 3").lease("n", 3).speaks("in epoch 3").
				writesNothing("that is all old")
		},
		"an older read does not undo a newer event": func(t *testing.T) {
			p := speaker(t).pass(6*second).pulse().lease("o", 4)
			p.step(LeaseRead{Lease: lease("n", 3), OK: true}).live(second).silent("o has it")
		},
		"other Lease UID under the same name": func(t *testing.T) {
			other := lease("n", 0)
			other.UID = "v"
			p := speaker(t).step(LeaseSeen{Lease: other}).speaks("by the wire")
			if l, _ := p.state.Voice(); l.UID != "v" || p.state.Standing() != Wire {
				t.Errorf("speaks in %v by %v", l, p.state.Standing())
			}
			if p.step(LeaseRead{Lease: other, OK: true}).state.Standing() != Held {
				t.Error("it has read the Lease")
			}
		},
		"other Lease UID in a read: the watch decides": func(t *testing.T) {
			other := lease("n", 0)
			other.UID = "v"
			p := newPlayer(t).policy("n", "o").pulse().lease("n", 3).step(LeaseRead{Lease: other, OK: true})
			p.pass(900 * ms).silent("which one counts?").step(LeaseSeen{Lease: other}).pass(200 * ms).
				step(LeaseRead{Lease: other, OK: true}).pass(150 * ms).speaks("now it is clear")
		},
		"the Lease is deleted, and made anew for this node": func(t *testing.T) {
			p := speaker(t).step(LeaseGone{}).silent("no Lease").because(Gone).phase(Idle)
			other := lease("n", 0)
			other.UID = "v"
			p.step(LeaseSeen{Lease: other}, LeaseRead{Lease: other, OK: true}).pass(150 * ms).speaks("again")
		},
		"announcement gone, or without address": func(t *testing.T) {
			speaker(t).step(PolicyGone{}).silent("gone").because(Gone)
			empty := policy("n", "o")
			empty.Addresses = nil
			speaker(t).step(PolicySeen{Policy: empty}).silent("empty").because(Gone)
		},
		"off the candidates' list: speaks on until one takes it": func(t *testing.T) {
			speaker(t).policy("o", "q").live(10 * second).speaks("nobody took it")
			speaker(t).policy().live(10 * second).speaks("an empty list").writesNothing("an empty list")
		},
		"a voice of a later epoch: silent at once, then reads": func(t *testing.T) {
			p := speaker(t).hear(4).silent("o is ahead").because(Outranked)
			p.step(LeaseRead{Lease: lease("o", 4), OK: true}).phase(Standby)
		},
		"a voice of the same or an older epoch": func(t *testing.T) {
			speaker(t).hear(3).hear(2).speaks("on")
		},
		"two agents under one node name: the second waits for the first": func(t *testing.T) {
			p := newPlayer(t).policy("n", "o").pulse().lease("n", 3)
			for range 5 {
				p.pulse().step(LeaseRead{Lease: lease("n", 3), OK: true}).pass(50 * ms).hear(3).
					pass(1050 * ms).silent("the other answers")
			}
		},
	} {
		t.Run(name, story)
	}
}
