// SPDX-License-Identifier: Apache-2.0

package simulation

// open tells whether the port answers for the i-th address of a Lease: the gate.
func (p *proc) open(r *reign, i int) bool {
	if !r.speaks || p.dead || p.still() || !p.host.on {
		return false
	}
	a := p.world.placesOf(r.lease)[i]
	if p.host.down[a.place.Segment] > 0 || r.muted && p.world.Flaw != GateMuted {
		return false
	}
	if !p.alive() {
		return false
	}
	if r.echo && p.clock() >= r.until && p.world.Flaw != GateWithoutEcho {
		return false
	}
	return !p.outranked(r, i)
}

func (p *proc) openAddress(r *reign, a *address) bool {
	for i, b := range p.world.placesOf(r.lease) {
		if a == b {
			return p.open(r, i)
		}
	}
	return false
}

// remember notes a voice above the own one, before the loop knows of it.
func (p *proc) remember(r *reign, f frame) {
	if !r.speaks || !f.mark.set || f.mark.uid != r.voice.UID || p.world.Flaw == GateForgets {
		return
	}
	low := lower(f.card, p.host.cards[f.vip.place.Segment])
	if !r.above(f.mark, low) {
		return
	}
	for i, a := range p.world.placesOf(r.lease) {
		if a == f.vip {
			r.rivals[i] = rival{voice: f.mark, lower: low, until: p.clock() + rivalLimit}
		}
	}
}

// outranked tells whether such a voice was heard just now.
func (p *proc) outranked(r *reign, i int) bool {
	v := &r.rivals[i]
	if !v.voice.set {
		return false
	}
	if p.clock() >= v.until {
		*v = rival{}
		return false
	}
	return v.voice.uid == r.voice.UID && r.above(v.voice, v.lower)
}

// above tells whether a voice is higher than the own: a later epoch, the Lease over the
// wire, then the lower card.
func (r *reign) above(m mark, lower bool) bool {
	switch {
	case m.transitions != r.voice.Transitions:
		return m.transitions > r.voice.Transitions
	case m.standing != r.standing:
		return m.standing > r.standing
	default:
		return lower
	}
}
