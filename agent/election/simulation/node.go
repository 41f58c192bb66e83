// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// node drives one machine as the agent's loop does.
type node struct {
	world  *world
	index  int
	name   string
	config election.Config

	offset time.Duration // of its clock
	rate   float64       // of its clock
	lost   time.Duration // pauses that its clock did not count

	incarnation int // of the process; 0: none runs
	processes   int
	paused      bool
	pausedAt    time.Duration
	tick        election.Time // when the loop last ran, while it just woke; 0: it runs
	pending     []func()
	isolated    int           // > 0: the API is out of reach
	hung        int           // > 0: its requests may take very long
	rough       time.Duration // when it was last paused, or its wire cut
	openFrom    time.Duration // since when the gate is open; -1: it is not

	state    election.State
	heart    election.Heart
	sent     map[int]election.Time
	beaten   int
	leaving  bool
	wake     election.Time
	polls    map[string]*poll
	leases   *stream
	policies *stream
}

type poll struct {
	due     election.Time
	reading bool
}

func (n *node) cut() bool { return n.isolated > 0 || n.world.down > 0 }

// clock is the node's boot clock.
func (n *node) clock() election.Time {
	t := n.world.now - n.lost
	return n.offset + t + time.Duration(float64(t)*n.rate)
}

// after plans something that happens in the running process: not if it ended, and later
// if it is paused.
func (n *node) after(d time.Duration, do func()) {
	in := n.incarnation
	n.world.after(d, func() {
		switch {
		case in == 0 || n.incarnation != in:
		case n.paused:
			n.pending = append(n.pending, func() {
				if n.incarnation == in {
					do()
				}
			})
		default:
			do()
		}
	})
}

// at plans something for a reading of the node's own clock.
func (n *node) at(t election.Time, late time.Duration, do func()) {
	d := time.Duration(float64(max(0, t-n.clock())) / (1 + n.rate))
	n.after(d+time.Microsecond+late, do)
}

func (n *node) start() {
	if n.incarnation != 0 {
		return
	}
	w := n.world
	n.processes++
	n.incarnation = n.processes
	w.logf("%s: starts", n.name)
	n.state, n.heart = election.State{Config: n.config}, election.Heart{}
	n.sent, n.polls, n.wake = map[int]election.Time{}, map[string]*poll{}, election.Never
	n.leaving, n.paused, n.tick, n.pending = false, false, 0, nil
	n.leases = &stream{node: n, length: func() int { return len(w.store.log) }, show: n.showLease, list: n.listLeases}
	n.policies = &stream{node: n, length: func() int { return len(w.policy.log) }, show: n.showPolicy, list: n.listPolicies}
	n.leases.dial()
	n.policies.dial()
	n.after(w.between(0, 300*time.Millisecond), n.beats)
}

// startAgain starts the node's next process once the last one has ended.
func (n *node) startAgain() {
	if n.leaving && n.incarnation != 0 {
		n.world.after(100*time.Millisecond, n.startAgain)
		return
	}
	n.start()
}

func (n *node) end(why string) {
	if n.incarnation != 0 {
		n.world.logf("%s: %s", n.name, why)
		n.incarnation = 0
	}
}

// listLeases hands on what a list shows; the order within a list means nothing.
func (n *node) listLeases() {
	l, b := n.world.store.lease, n.world.store.beats[n.name]
	lease := func() {
		if l.UID != "" {
			n.step(election.LeaseSeen{Lease: l})
		} else if n.state.Lease().UID != "" {
			n.step(election.LeaseGone{})
		}
	}
	if n.world.chance(0.5) {
		n.echo(b)
		lease()
		return
	}
	lease()
	n.echo(b)
}

func (n *node) showLease(i int) {
	switch c := n.world.store.log[i]; {
	case c.beat.node == n.name:
		n.echo(c.beat)
	case c.beat.node != "":
	case c.lease.UID == "":
		n.step(election.LeaseGone{})
	default:
		n.step(election.LeaseSeen{Lease: c.lease})
	}
}

func (n *node) listPolicies() { n.showPolicy(len(n.world.policy.log) - 1) }

func (n *node) showPolicy(i int) {
	a := n.world.policy.log[i]
	p := election.Policy{
		ServiceUID: serviceUID, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})},
		Servable:   []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1})},
		Candidates: a.candidates, MoveTo: a.moveTo,
	}
	if a.excluded[n.name] {
		p.Excluded = "excluded"
	}
	n.step(election.PolicySeen{Policy: p})
}

// beats writes a heartbeat every interval.
func (n *node) beats() {
	n.beat(func(bool) {})
	n.after(n.config.BeatEvery, n.beats)
}

func (n *node) beat(done func(ok bool)) {
	n.beaten++
	b := beat{node: n.name, incarnation: n.incarnation, number: n.beaten, leaving: n.leaving}
	n.sent[b.number] = n.clock()
	n.call(beatTime, func() { n.world.store.beat(b) }, done)
}

func (n *node) echo(b beat) {
	sent, ok := n.sent[b.number]
	if b.incarnation != n.incarnation || !ok {
		return
	}
	delete(n.sent, b.number)
	n.heart = n.heart.Echoed(sent, n.config.BeatEvery)
	n.step(election.Pulse{Heart: n.heart})
}

// leave is SIGTERM.
func (n *node) leave(grace time.Duration) {
	if n.incarnation == 0 || n.paused || n.leaving {
		return
	}
	n.world.logf("%s: SIGTERM", n.name)
	n.leaving = true
	n.after(grace, func() { n.end("killed") })
	n.beat(func(bool) { n.step(election.Leave{}) })
}

// call is a request: the answer may be lost although the server did it, and the server
// may do it although the time-out has passed.
func (n *node) call(timeout time.Duration, serve func(), done func(ok bool)) {
	w, over := n.world, false
	finish := func(ok bool) {
		if !over {
			over = true
			done(ok)
		}
	}
	n.after(timeout, func() { finish(false) })
	if n.cut() {
		return
	}
	way := func() time.Duration {
		if n.hung > 0 && w.chance(0.3) {
			return w.between(0, 6*time.Second)
		}
		if w.slow > 0 {
			return w.between(0, 1500*time.Millisecond)
		}
		return w.between(time.Millisecond, w.latency)
	}
	w.after(way(), func() {
		if n.cut() {
			return
		}
		serve()
		in := n.incarnation
		w.after(way(), func() {
			if n.incarnation == in && !n.cut() {
				n.after(0, func() { finish(true) })
			}
		})
	})
}

// open tells whether this node answers for the VIP: the gate.
func (n *node) open() bool {
	if n.incarnation == 0 || n.paused {
		return false
	}
	if _, ok := n.state.Voice(); !ok || n.state.Muted() {
		return false
	}
	if n.world.Flaw == GateBlind {
		return true
	}
	now := n.clock()
	if n.tick != 0 && now-n.tick > tickLimit {
		return false
	}
	return !n.state.NeedsEcho() || now < n.heart.Until(n.config)
}

func (n *node) pause(d time.Duration) {
	if n.incarnation == 0 || n.paused {
		return
	}
	w, in := n.world, n.incarnation
	w.logf("%s: pauses for %s", n.name, d)
	n.paused, n.pausedAt, n.tick = true, w.now, n.clock()
	w.after(d, func() {
		if n.incarnation != in {
			return
		}
		w.logf("%s: resumes", n.name)
		n.rough = w.now
		n.paused = false
		if w.Flaw == ClockStops {
			n.lost += w.now - n.pausedAt
		}
		todo := n.pending
		n.pending = nil
		for _, do := range todo { // one by one, so that the check sees each state between
			w.after(0, func() {
				if n.incarnation == in {
					do()
				}
			})
		}
		n.after(0, func() { n.step(election.Tick{}) })
	})
}

func (n *node) String() string {
	return fmt.Sprintf("%s(%s)", n.name, n.state.Phase())
}
