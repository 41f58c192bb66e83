// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// stream is a process's watch of one history: in order, late, and silent while it is broken.
type stream struct {
	proc   *proc
	length func() int
	show   func(i int) // hands on the i-th change
	list   func()      // hands on what stands now
	next   int         // the change that comes next
	at     time.Duration
	open   int  // numbers the connections; 0: none yet
	broken int  // > 0: nothing comes through
	missed bool // a change was lost: the connection is dead
	dialed bool
	sent   int // numbers how often what is under way was sent
}

// plan delivers a change some time later.
func (s *stream) plan(i int) {
	if s.open == 0 || s.lost() {
		return
	}
	w, conn, sent := s.proc.world, s.open, s.sent
	s.at = max(s.at, w.now+w.between(time.Millisecond, w.Lag))
	w.after(s.at-w.now, func() {
		s.proc.loop(func() {
			if s.open != conn || s.sent != sent || s.lost() {
				return
			}
			s.next = i + 1
			s.show(i)
		})
	})
}

// again is what happens to what came while the machine was stopped: it was not received,
// and TCP waits long before it sends it again.
func (s *stream) again(d time.Duration) {
	if s.open == 0 {
		return
	}
	s.sent++
	s.at = max(s.at, s.proc.world.now+d)
	for i := s.next; i < s.length(); i++ {
		s.plan(i)
	}
}

// lost tells whether a change does not come through; then none does until a new dial.
func (s *stream) lost() bool {
	s.missed = s.missed || s.broken > 0 || !s.proc.host.api()
	return s.missed
}

// dial begins anew until the API can be reached: from where the watch ended, or by a list.
func (s *stream) dial() {
	if s.dialed {
		return
	}
	s.dialed = true
	w := s.proc.world
	s.proc.plan(w.between(10*time.Millisecond, time.Second), func() {
		s.proc.loop(func() {
			s.dialed = false
			if s.broken > 0 || !s.proc.host.api() {
				s.dial()
				return
			}
			first := s.open == 0
			w.seq++
			s.open, s.missed = w.seq, false
			if !first && w.chance(0.5) {
				for i := s.next; i < s.length(); i++ {
					s.plan(i)
				}
				return
			}
			s.next = s.length()
			s.list()
		})
	})
}

func (s *stream) mend() {
	if s.missed {
		s.dial()
	}
}

// redial lets the watches that broke begin anew.
func (w *world) redial() {
	for _, h := range w.hosts {
		for _, p := range []*proc{h.proc, h.next} {
			if p != nil {
				p.leases.mend()
				p.policies.mend()
			}
		}
	}
}

// listLeases hands on what a list shows; the order within a list means nothing.
func (p *proc) listLeases() {
	b := p.world.store.beats[p.host.index]
	early := p.world.chance(0.5)
	if early {
		p.echo(b)
	}
	for i, l := range p.world.store.leases {
		p.seesLease(p.reigns[i], l)
	}
	if !early {
		p.echo(b)
	}
}

func (p *proc) showLease(i int) {
	switch c := p.world.store.log[i]; {
	case !c.isBeat:
		p.seesLease(p.reigns[c.of], c.lease)
	case c.beat.node == p.host.index:
		p.echo(c.beat)
	}
}

func (p *proc) seesLease(r *reign, l election.Lease) {
	r.seen = l
	p.host.keep(r)
	switch {
	case l.UID != "":
		p.step(r, election.LeaseSeen{Lease: l})
	case r.state.Lease().UID != "":
		p.step(r, election.LeaseGone{})
	}
}

func (p *proc) listPolicies() {
	for i := range p.reigns {
		p.seesPolicy(i, p.world.manager.now[i])
	}
}

func (p *proc) showPolicy(i int) {
	a := p.world.manager.log[i]
	p.seesPolicy(a.lease, a)
}

func (p *proc) seesPolicy(lease int, a *announcement) {
	r := p.reigns[lease]
	r.policy = a
	p.host.keep(r)
	p.stepPolicy(r)
}

func (p *proc) stepPolicy(r *reign) {
	switch {
	case r.policy == nil:
	case r.policy.gone:
		p.step(r, election.PolicyGone{})
	default:
		p.step(r, election.PolicySeen{Policy: p.policy(r)})
	}
}

// policiesAgain tells the elections anew what this node can do.
func (p *proc) policiesAgain() {
	for _, r := range p.reigns {
		p.stepPolicy(r)
		p.follow(r)
	}
	p.witnesses()
	p.detect()
}

// policy gives the announcement as the election knows it.
func (p *proc) policy(r *reign) election.Policy {
	a, w := r.policy, p.world
	out := election.Policy{
		ServiceUID: serviceUID(r.lease), Candidates: a.candidates, MoveTo: a.moveTo,
		Excluded: a.excluded[p.host.name], DisplaceUID: a.displace.uid, DisplaceTransitions: a.displace.transitions,
		Unready: !p.host.ready() && w.Flaw != ReadyAlways,
	}
	for _, vip := range w.placesOf(r.lease) {
		out.Addresses = append(out.Addresses, vip.addr)
		if p.host.down[vip.place.Segment] > 0 && w.Flaw != ServesAll {
			out.Unservable = interfaces[vip.place.Segment] + " has no carrier"
			continue
		}
		out.Servable = append(out.Servable, vip.addr)
	}
	return out
}

// keep writes to disk what the watches brought, a moment later.
func (h *host) keep(r *reign) {
	if h.world.NoDisk || r.policy == nil || r.seen.UID == "" {
		return
	}
	h.disk[r.lease] = remembered{policy: r.policy, lease: r.seen}
}
