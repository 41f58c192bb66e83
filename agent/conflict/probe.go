// SPDX-License-Identifier: Apache-2.0

package conflict

// probeFrom begins a round of probing, the first probe at a random moment after at (RFC 5227
// section 2.1.1).
func (s *Set) probeFrom(p *place, at Time) {
	p.step, p.reserved = 0, false
	p.askAt, p.began = at+s.random.between(0, p.pace().wait), at
}

// probe is the next step of a round.
func (s *Set) probe(p *place) {
	switch {
	case p.done || s.now < p.askAt:
	case p.step < ProbeNum:
		s.sendProbe(p)
	default:
		s.conclude(p)
	}
}

func (s *Set) sendProbe(p *place) {
	frames := 1
	if p.Addr.Is6() {
		frames = 2
	}
	if !s.turn(p, frames) {
		return
	}
	s.tell(Ask{Interface: p.Interface, Addr: p.Addr, Probe: true})
	p.step++
	pace := p.pace()
	p.askAt = s.now + s.random.between(pace.least, pace.most)
	if p.step == ProbeNum {
		p.askAt = s.now + pace.announceWait
	}
}

// conclude ends a round in which nobody was heard, or only whose word is none.
func (s *Set) conclude(p *place) {
	if s.judgeNodes(p); p.step < ProbeNum {
		return
	}
	for _, t := range p.strangers {
		switch {
		case t.last < p.began:
		case t.reason == 0 && s.now-t.since < pendingFor:
			p.askAt = s.now + pendingAsk
			return
		case t.reason == 0 || t.reason.blocks():
			s.inUse(p)
			return
		}
	}
	s.drop(p, func(t stranger) bool { return t.reason != ProxyAnswers || t.last < p.began })
	p.done, p.askAt = true, Never
	for _, o := range s.leases[p.lease] {
		if o.Addr == p.Addr && o.Role == Probe && !o.done {
			return
		}
	}
	s.tell(Cleared{Lease: p.lease, Addr: p.Addr})
}

// blocked ends a round that is under way because of what a stranger was found to be.
func (s *Set) blocked(p *place, r Reason) {
	if p.Role == Probe && !p.done && p.step > 0 && r.blocks() {
		s.inUse(p)
	}
}

// inUse ends a round because somebody uses the address. It is probed again, less often after
// many such rounds (RFC 5227 section 2.1.1).
func (s *Set) inUse(p *place) {
	p.conflicts++
	again := s.random.between(ProbeAgain*3/4, ProbeAgain*5/4)
	if p.conflicts >= MaxConflicts {
		again = max(again, RateLimitInterval)
	}
	s.probeFrom(p, s.now+again)
}
