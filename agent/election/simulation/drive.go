// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// claims are the times, in milliseconds, at which a new voice announces itself.
var claims = [...]int{0, 50, 200, 1300, 2400, 3500, 4600}

// step steps the machine and does what it asks for.
func (n *node) step(ev election.Event) {
	before := n.state.Phase()
	state, actions := election.Step(n.state, n.clock(), ev)
	n.state, n.tick = state, 0
	if after := state.Phase(); after != before {
		n.world.logf("%s: %s to %s on %T", n.name, before, after, ev)
	}
	if state.Wake() <= n.clock() {
		n.world.check.failf("%s wants to be woken at once", n)
	}
	for _, a := range actions {
		n.act(a)
	}
	n.timer()
	n.follow()
	if _, speaks := state.Voice(); n.leaving && !speaks && state.Phase() == election.Idle {
		n.end("leaves")
	}
}

func (n *node) act(a election.Action) {
	w := n.world
	switch a := a.(type) {
	case election.Ask:
		n.ask(a)
	case election.ReadLease:
		var got election.Lease
		n.call(beatTime, func() { got = w.store.lease }, func(ok bool) {
			n.step(election.LeaseRead{Lease: got, OK: ok})
		})
	case election.Swap:
		var got election.Lease
		var written bool
		n.call(swapTime, func() { got, written = w.store.swap(n.name, a) }, func(ok bool) {
			done := election.SwapDone{Attempt: a.Attempt, OK: ok && written, Lease: got, Conflict: ok && !written}
			if w.Flaw == SwapsBelieved {
				done.OK, done.Lease = true, a.Lease
				done.Lease.Holder, done.Lease.Transitions = a.Holder, a.Transitions
			}
			w.logf("%s: write for %q: ok %t", n.name, a.Holder, done.OK)
			n.step(done)
		})
	case election.Farewell:
	case election.Speak:
		w.logf("%s: speaks: %s (from %q, took %s)", n.name, a.Why, a.From, a.Took)
		w.check.Voices++
		n.claim()
	case election.Hush:
		w.logf("%s: silent: %s (to %q)", n.name, a.Why, a.To)
	default:
		panic(fmt.Sprintf("unknown action %T", a))
	}
}

// claim announces a new voice while it lasts.
func (n *node) claim() {
	voice, _ := n.state.Voice()
	for _, at := range claims {
		n.after(milliseconds(at), func() {
			if now, ok := n.state.Voice(); !ok || now.UID != voice.UID || now.Transitions != voice.Transitions || !n.open() {
				return
			}
			for _, o := range n.world.nodes {
				n.say(o)
			}
		})
	}
}

// say lets another node hear the voice.
func (n *node) say(o *node) {
	if o == n || n.world.Flaw == DeafToClaims {
		return
	}
	voice, _ := n.state.Voice()
	v := election.Voice{Node: n.name, LeaseUID: voice.UID, Transitions: voice.Transitions, Standing: n.state.Standing(), Lower: n.index < o.index}
	n.world.send(n, o, func() { o.step(election.Heard{Voice: v}) })
}

func (n *node) ask(a election.Ask) {
	for _, o := range n.world.nodes {
		answer := func() {
			if o.open() {
				o.say(n)
			}
		}
		if o == n {
			continue
		}
		if a.Node == "" || o.name == n.state.Lease().Holder {
			n.world.send(n, o, answer)
		}
		if o.name == a.Node {
			n.world.send(n, o, answer)
		}
	}
}

// timer plans the Tick that the machine wants.
func (n *node) timer() {
	wake := n.state.Wake()
	if wake == election.Never || wake == n.wake || n.world.Flaw == NoTicks {
		n.wake = wake
		return
	}
	n.wake = wake
	late := n.world.between(0, time.Millisecond)
	if n.world.chance(0.02) {
		late = n.world.between(0, 100*time.Millisecond)
	}
	n.at(wake, late, func() {
		if n.wake != wake {
			return
		}
		n.wake = election.Never
		n.step(election.Tick{})
	})
}

// follow reads the heartbeats that the machine wants to be read.
func (n *node) follow() {
	if n.world.Flaw == NoFollows {
		return
	}
	wanted := n.state.Follows()
	for name, p := range n.polls {
		if !p.reading && !listed(wanted, name) {
			delete(n.polls, name)
		}
	}
	now := n.clock()
	for _, f := range wanted {
		p := n.polls[f.Node]
		if p == nil {
			p = &poll{due: now}
			n.polls[f.Node] = p
		}
		n.poll(f.Node, p)
		if due := now + f.Every; due < p.due {
			p.due = due
			n.at(due, 0, func() { n.poll(f.Node, p) })
		}
	}
}

func listed(fs []election.Follow, name string) bool {
	for _, f := range fs {
		if f.Node == name {
			return true
		}
	}
	return false
}

// poll reads a heartbeat if that is still wanted and due, and plans the next reading.
func (n *node) poll(name string, p *poll) {
	now := n.clock()
	if p.reading || now < p.due || n.polls[name] != p {
		return
	}
	for _, f := range n.state.Follows() {
		if f.Node != name {
			continue
		}
		every := max(f.Every, n.config.AskEvery)
		p.reading, p.due = true, now+every
		var b beat
		n.call(beatTime, func() { b = n.world.store.read(name) }, func(ok bool) {
			p.reading = false
			n.at(p.due, 0, func() { n.poll(name, p) })
			if !ok {
				return
			}
			seen := ""
			if b.node != "" {
				seen = fmt.Sprint(b.version)
			}
			n.step(election.PeerBeat{Node: name, Asked: now, Came: n.clock(), Seen: seen, Leaving: b.leaving})
		})
		return
	}
}
