// SPDX-License-Identifier: Apache-2.0

package simulation

import "time"

// edge is a fault that returns just when its node is being replaced, while no claim and
// no answer can correct what the Leases got wrong: the speaker has no wire.
func (w *world) edge(n *node, _ time.Duration) func() {
	plans := []func(*node){w.edgeCut, w.edgePause, w.edgeCrash, w.edgeLeave}
	plan := plans[w.rng.IntN(len(plans))]
	return func() {
		n := w.target(n)
		w.wire(n, 1)
		w.after(w.between(10*time.Second, 20*time.Second), func() { w.wire(n, -1) })
		if w.chance(0.5) {
			w.after(w.between(0, 8*time.Second), w.slowness(n, w.between(0, 4*time.Second)))
		}
		plan(n)
	}
}

// about draws a time around that of a takeover.
func (w *world) about() time.Duration { return w.between(5500*time.Millisecond, 9500*time.Millisecond) }

func (w *world) edgeCut(n *node) { w.cutOff(n, w.about()) }

// edgePause also lets the node's requests hang, so that a heartbeat from before the pause
// arrives after it.
func (w *world) edgePause(n *node) {
	n.hung++
	w.after(12*time.Second, func() { n.hung-- })
	for _, at := range []time.Duration{w.between(2*time.Second, 5*time.Second), w.between(5*time.Second, 7*time.Second)} {
		lasts := w.between(0, 3*time.Second)
		w.after(at, func() { n.pause(lasts) })
	}
}

func (w *world) edgeCrash(n *node) {
	n.end("crashes")
	w.after(w.about(), n.start)
}

// edgeLeave lets the others leave a moment earlier, so that nobody is there to take, and
// start again at once.
func (w *world) edgeLeave(n *node) {
	n.hung++
	w.after(8*time.Second, func() { n.hung-- })
	for _, o := range w.nodes {
		if o != n {
			o.leave(10 * time.Second)
			w.after(w.between(0, 4*time.Second), o.startAgain)
		}
	}
	w.after(w.between(0, 500*time.Millisecond), func() { n.leave(10 * time.Second) })
}
