// SPDX-License-Identifier: Apache-2.0

package detector

// ghost asks the card of a node that was replaced whether it still speaks: no clock
// counts the pause of a virtual machine, so the node itself may not know.
type ghost struct {
	key       streamKey
	targets   []*target
	cursor    int
	next      Time
	fastUntil Time
	all       Time // when all of it were told last
}

// haunt puts a target into the ghost of the card that was replaced.
func (d *Detector) haunt(now Time, t *target, key streamKey) {
	g := d.ghosts[key]
	if g == nil {
		g = &ghost{key: key, next: now + d.cfg.GhostEvery, fastUntil: ago, all: ago}
		d.ghosts[key] = g
		d.ghostOrder = append(d.ghostOrder, g)
	}
	g.fastUntil = max(g.fastUntil, t.replace+d.cfg.GhostFirst)
	if now < g.fastUntil {
		g.next = min(g.next, now+d.cfg.GhostEvery)
	}
	if t.ghost == nil {
		t.ghost, t.slot = g, len(g.targets)
		g.targets = append(g.targets, t)
	}
}

func (d *Detector) leaveGhost(t *target) {
	g := t.ghost
	g.targets = remove(g.targets, t)
	t.ghost = nil
	if len(g.targets) == 0 {
		delete(d.ghosts, g.key)
		d.ghostOrder = without(d.ghostOrder, g)
	}
}

// stepGhost asks when it is time. False: the ghost is over.
func (d *Detector) stepGhost(now Time, g *ghost) bool {
	if g.next > now {
		return true
	}
	for len(g.targets) > 0 {
		g.cursor %= len(g.targets)
		t := g.targets[g.cursor]
		if now >= t.replace+d.cfg.GhostFor {
			d.leaveGhost(t)
			continue
		}
		g.cursor++
		d.ask(now, t, g.key.card, g.key.card, false, 0)
		g.next = now + d.cfg.GhostLater
		if now < g.fastUntil {
			g.next = now + d.cfg.GhostEvery
		}
		return true
	}
	return false
}

// heardSpeaking takes note of what was said about an address this node speaks for.
func (d *Detector) heardSpeaking(now Time, t *target, s Sound) {
	g := t.ghost
	theirs := g != nil && s.From == g.key.card
	switch s.Kind {
	case Answer, Claim:
		if s.SameLease && s.Transitions > t.lease.view.Transitions || !s.SameLease && !theirs {
			return // a higher voice, or another Lease: the API decides
		}
		d.tellGhost(now, t, s.From, d.cfg.GhostGap)
		if theirs && now-g.all >= d.cfg.GhostEvery {
			g.all = now
			for _, x := range g.targets {
				d.tellGhost(now, x, s.From, d.cfg.GhostEvery)
			}
		}
	case Question:
		// One that still has its voice, but waits, has standing.
		if theirs && s.SameLease && s.Transitions >= t.lease.view.Transitions && s.Standing == 0 {
			t.lease.laid = true // it knows
			for _, x := range t.lease.targets {
				if x.ghost != nil {
					d.leaveGhost(x)
				}
			}
		}
		d.watched(t.path, s)
	default:
	}
}

func (d *Detector) tellGhost(now Time, t *target, card MAC, gap Time) {
	if now-t.haunted < gap {
		return
	}
	t.haunted = now
	d.tell(Ghost{Lease: t.lease.name, Interface: t.path.Interface, Addr: t.place.Addr, Card: card})
}
