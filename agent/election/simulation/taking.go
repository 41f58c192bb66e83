// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// answering is how long a voice must have been heard, over sound wires, to be left alone.
const answering = 5 * time.Second

// tries checks a write by which a node takes a Lease.
func (c *checker) tries(p *proc, r *reign, a election.Swap) {
	if a.Holder != p.host.name || r.phase != election.Swapping {
		return
	}
	policy, lease := r.state.Policy(), r.state.Lease()
	if policy.DisplaceUID == lease.UID && policy.DisplaceTransitions == lease.Transitions {
		return
	}
	c.taking(p, r, "writes itself over")
}

// spoke notes a new voice, and checks a claim without the Lease.
func (c *checker) spoke(p *proc, r *reign, a election.Speak) {
	c.Voices++
	w := c.world
	if r.standing == election.Wire && a.Why != election.Taken && a.Why != election.OwnerLeft {
		c.taking(p, r, "claims over")
	}
	if a.Why != election.OwnerDead && a.Why != election.OwnerMute {
		return
	}
	c.Wire++
	c.takes[r.lease] = append(c.takes[r.lease], w.now)
	takes := c.takes[r.lease]
	// A process that has not seen them all cannot count them. Who was patient may.
	if n := len(takes) - 4; n >= 0 && w.now-takes[n] < 3*time.Minute && p.born < takes[n]-recently && a.Took < p.config.FlapHold*9/10 {
		c.failf("flapping: four takeovers by the wire in %s", w.now-takes[n])
	}
}

// taking checks that a node that has answered all the time is left alone.
func (c *checker) taking(p *proc, r *reign, does string) {
	w := c.world
	for _, o := range w.hosts {
		if o == p.host || !c.answers(o, r.lease) {
			continue
		}
		sound := true
		for _, a := range c.byLease[r.lease] {
			sound = sound && c.sound(w.segments[a.place.Segment], o, p.host, r.lease)
		}
		if sound {
			c.failf("taking: %s %s %s, which answers", p.host.name, does, o.name)
		}
	}
}

// answers tells whether the clients have heard a node for all addresses for a while.
func (c *checker) answers(o *host, lease int) bool {
	for _, s := range c.spots {
		if s.lease == lease && (len(s.heard) != 1 || s.heard[0] != o || s.speaker != o || c.world.now-s.since < answering) {
			return false
		}
	}
	return c.world.now-o.rough > answering && o.proc != nil && o.proc.hung == 0
}

// sound tells whether two nodes hear each other well, or a third candidate hears both.
func (c *checker) sound(s *segment, o, by *host, lease int) bool {
	if s.loss > 0 || s.delayed > 0 || s.suppress > 0 || s.proxy > 0 || c.world.now-by.rough < answering {
		return false
	}
	if s.well(o, by) {
		return true
	}
	for _, name := range c.world.manager.now[lease].candidates {
		h := c.world.hostOf(name)
		p := h.proc
		if h != o && h != by && p != nil && p.begun && !p.still() && p.hung == 0 && c.world.now-h.rough > answering &&
			s.well(h, o) && s.well(h, by) && s.way(by.index, h.index, true) && c.knows(p, lease) {
			return true
		}
	}
	return false
}

// knows tells whether a third node can vouch: it knows the Lease, and that it is a candidate.
func (c *checker) knows(p *proc, lease int) bool {
	ok, _ := p.reigns[lease].state.Stands()
	return ok && p.reigns[lease].state.Lease().Transitions == c.world.store.leases[lease].Transitions
}

func (s *segment) well(a, b *host) bool {
	return s.hears(a, b) && s.world.now-s.healed[a.index][b.index] > answering
}
