// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// leaseNames are how the detector knows Leases.
var leaseNames = [...]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"}

// follow tells the detector what this node has to do with a Lease's addresses.
func (p *proc) follow(r *reign) {
	lease := r.state.Lease()
	v := detector.View{Since: r.state.Since(), Transitions: lease.Transitions}
	stands, near := r.state.Stands()
	switch {
	case r.speaks || lease.Holder == p.host.name && lease.UID != "":
		v.Role = detector.Speak
	case stands:
		v.Role, v.Near = detector.Stand, near
	default:
		v = detector.View{}
	}
	if v.Role != detector.Away {
		v.Places = r.view.Places
		if v.Role != r.view.Role || !p.placed(r, v) {
			v.Places = p.places(r, v.Role)
		}
	}
	if v.Role == r.view.Role && v.Near == r.view.Near && v.Since == r.view.Since && v.Transitions == r.view.Transitions &&
		slices.Equal(v.Places, r.view.Places) {
		return
	}
	r.view = v
	p.det.Follow(p.clock(), leaseNames[r.lease], v)
}

// placed tells whether the places of the view are still right.
func (p *proc) placed(r *reign, v detector.View) bool {
	i := 0
	for _, a := range p.world.placesOf(r.lease) {
		if p.host.down[a.place.Segment] > 0 {
			continue
		}
		if i >= len(v.Places) || v.Places[i] != p.place(r, a, v.Role) {
			return false
		}
		i++
	}
	return i == len(v.Places)
}

func (p *proc) place(r *reign, a *address, role detector.Role) detector.Place {
	pl := detector.Place{Addr: a.addr, Interface: interfaces[a.place.Segment]}
	if role == detector.Stand {
		pl.Speaker = p.cardOf(r.state.Lease().Holder, a.place.Segment)
	} else if g := r.state.Ghost(); g != "" {
		pl.Ghost = p.cardOf(g, a.place.Segment)
	}
	return pl
}

func (p *proc) places(r *reign, role detector.Role) []detector.Place {
	var out []detector.Place
	for _, a := range p.world.placesOf(r.lease) {
		if p.host.down[a.place.Segment] == 0 {
			out = append(out, p.place(r, a, role))
		}
	}
	return out
}

// witnesses tells the detector who can prove that this node's link is sound.
func (p *proc) witnesses() {
	w := p.world
	for i, s := range w.segments {
		for _, v6 := range []bool{false, true} {
			var ws []detector.Witness
			if p.host.down[i] == 0 && w.Flaw != NoWitnesses {
				if !w.NoGateway {
					ws = append(ws, detector.Witness{Addr: own(s.gateway(), i, v6), Card: s.cardOf(s.gateway()), Gateway: true})
				}
				for _, h := range w.hosts {
					if h != p.host {
						ws = append(ws, detector.Witness{Addr: own(h.index, i, v6), Card: h.cards[i]})
					}
				}
				if w.Guest {
					ws = append(ws, detector.Witness{Addr: own(s.guest(), i, v6), Card: s.cardOf(s.guest())})
				}
			}
			p.det.Witnesses(p.clock(), detector.Path{Interface: interfaces[i], V6: v6}, ws)
		}
	}
}

// hear hands a sound to the detector.
func (p *proc) sound(s detector.Sound) {
	p.det.Heard(p.clock(), s)
	p.detect()
}

// detect does what the detector wants, and plans its next tick.
func (p *proc) detect() {
	if !p.begun || p.draining {
		return
	}
	p.draining = true
	for outs := p.det.Take(); len(outs) > 0; outs = p.det.Take() {
		for _, o := range outs {
			p.output(o)
		}
	}
	p.draining = false
	p.detectTimer()
}

func (p *proc) detectTimer() {
	wake := p.det.Wake()
	if wake >= p.detTimer || p.world.Flaw == NoDetector {
		return
	}
	p.detTimer = wake
	p.at(wake, func() {
		if p.detTimer != wake {
			return
		}
		p.detTimer = detector.Never
		if p.det.Wake() <= p.clock() {
			p.det.Tick(p.clock())
		}
		p.detect()
	})
}

func (p *proc) reignOf(lease string) *reign {
	for i, n := range leaseNames[:len(p.reigns)] {
		if n == lease {
			return p.reigns[i]
		}
	}
	panic("unknown Lease " + lease)
}

func (p *proc) output(o detector.Output) {
	w := p.world
	switch o := o.(type) {
	case detector.Ask:
		r := p.reignOf(o.Lease)
		f := p.frame(r, w.vip(o.Interface, o.Addr), detector.Question)
		f.zero, f.mark.nonce, f.mark.flags = o.Zero, o.Nonce, o.Flags
		if o.To == broadcast && w.Flaw == NoBroadcasts {
			return
		}
		w.check.asks(p)
		p.send(f, o.To)
	case detector.AskWitness:
		seg := segmentOf(o.Interface)
		s := w.segments[seg]
		for port := range s.ports {
			if own(port, seg, o.Addr.Is6()) == o.Addr {
				s.send(frame{kind: probe, of: port, v6: o.Addr.Is6(), from: p.host.index, card: p.host.cards[seg]}, o.To)
			}
		}
	case detector.Vouch:
		r := p.reignOf(o.Lease)
		f := p.frame(r, w.vip(o.Interface, o.Addr), detector.Vouching)
		f.mark.transitions, f.mark.nonce = o.Transitions, o.Nonce
		if w.Flaw != NoVouching {
			p.send(f, o.To)
		}
	case detector.Dead:
		w.logf("%s/%s: dead on the wire: %v, unheard %t", p.host.name, o.Lease, o.Addrs, o.Unheard)
		if w.Flaw != DeafToVerdicts {
			p.step(p.reignOf(o.Lease), election.Dead{Addrs: o.Addrs, Since: o.Since, Unheard: o.Unheard})
		}
	case detector.Audible:
		if w.Flaw != NeverAudible {
			p.step(p.reignOf(o.Lease), election.Audible{OK: o.OK || w.Flaw == AlwaysAudible})
		}
	case detector.Contacted:
		if w.Flaw != NoContact {
			p.step(p.reignOf(o.Lease), election.Contacted{})
		}
	case detector.Ghost:
		r := p.reignOf(o.Lease)
		a := w.vip(o.Interface, o.Addr)
		if r.speaks && p.openAddress(r, a) && w.Flaw != NoGhostClaims {
			p.send(p.frame(r, a, detector.Claim), o.Card)
		}
	}
}

func segmentOf(iface string) int { return slices.Index(interfaces[:], iface) }
