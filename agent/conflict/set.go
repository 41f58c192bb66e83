// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"container/heap"
	"net/netip"
	"slices"
)

// Set follows all addresses of one node on all its interfaces. One goroutine owns it; New
// makes it.
type Set struct {
	now       Time
	random    random
	leases    map[string][]*place
	at        map[spot][]*place
	queue     queue
	strangers int // of all places
	verdicts  map[suspect]verdict
	controls  map[path]*control
	paths     []path // of controls, in the order in which they came up

	sendFree   Time // before it no frame is sent
	patrolFree Time // nor a question for an address without a stranger
	reportFree Time // nor a report made
	out        []Output
}

// spot is where frames about an address are heard.
type spot struct {
	name string
	addr netip.Addr
}

// path is an interface and a family.
type path struct {
	name string
	v6   bool
}

// place is a Place and what is known of it.
type place struct {
	Place

	lease     string
	near      netip.Prefix // from which control addresses are drawn
	strangers []stranger
	due       Time // as the queue has it
	slot      int  // in the queue; -1: not there
	askAt     Time // the next step of probing, or the next question
	reserved  bool // askAt is the place's own turn among all frames
	patrolled bool // askAt is its own turn among those without a stranger
	step      int  // Probe: probes sent in this round
	began     Time // Probe: this round
	conflicts int  // Probe: rounds that found a stranger
	done      bool // Probe: the address is free
	defendAt  Time // Speak: there is no defence before
	owed      bool // Speak: a claim was not answered yet
	told      []Finding
	tellAt    Time // before it nothing is reported
}

// New makes a Set that follows nothing. Nodes with different seeds do not keep step.
func New(seed uint64) *Set {
	return &Set{
		random: random(seed), leases: map[string][]*place{}, at: map[spot][]*place{},
		verdicts: map[suspect]verdict{}, controls: map[path]*control{},
	}
}

// Take gives what is to be done and to be known since the last Take, in order.
func (s *Set) Take() []Output {
	out := s.out
	s.out = nil
	return out
}

func (s *Set) tell(o Output) { s.out = append(s.out, o) }

// Wake is when Tick is wanted at the latest, as of the last call.
func (s *Set) Wake() Time {
	wake := Never
	if len(s.queue) > 0 {
		wake = s.queue[0].due
	}
	for _, c := range s.controls {
		wake = min(wake, c.due())
	}
	return wake
}

// Len is how many strangers are remembered.
func (s *Set) Len() int { return s.strangers }

// Follow says which addresses of a Lease are this node's business from now on. What is no more
// among them is forgotten without a report.
func (s *Set) Follow(now Time, lease string, places []Place) {
	s.begin(now)
	old := s.leases[lease]
	var kept []*place
	for _, v := range places {
		v.Addr = v.Addr.Unmap().WithZone("")
		same := func(p *place) bool { return p.Addr == v.Addr && p.Interface == v.Interface }
		if !v.Addr.IsValid() || slices.ContainsFunc(kept, same) {
			continue
		}
		var p *place
		if i := slices.IndexFunc(old, same); i >= 0 {
			p = old[i]
			old = slices.Delete(slices.Clone(old), i, i+1)
		} else {
			p = &place{lease: lease, slot: -1}
			at := spot{v.Interface, v.Addr}
			s.at[at] = append(s.at[at], p)
		}
		s.set(p, v)
		kept = append(kept, p)
	}
	for _, p := range old {
		s.forget(p)
	}
	if len(kept) == 0 {
		delete(s.leases, lease)
		return
	}
	s.leases[lease] = kept
}

// set takes what a place is from now on.
func (s *Set) set(p *place, v Place) {
	was := p.Place
	if was.equal(v) {
		return
	}
	p.Place, p.near = v, subnetOf(v)
	p.owed = p.owed && v.Role == Speak && v.Defend
	s.drop(p, func(t stranger) bool { return t.node != "" && slices.Contains(v.Kernels, t.node) })
	switch {
	case was.Role != v.Role && v.Role == Probe:
		p.done, p.conflicts = false, 0
		s.probeFrom(p, s.now+v.Wait)
	case was.Role != v.Role:
		p.askAt, p.reserved, p.patrolled = s.now+s.random.between(patrolFirst, patrolLate), false, false
	case v.Role == Probe && v.Wait != was.Wait && p.step == 0 && p.conflicts == 0 && !p.done:
		s.probeFrom(p, s.now+v.Wait)
	case len(v.Kernels) > len(was.Kernels) && v.Role == Probe && p.step == 0 && p.conflicts > 0:
		s.probeFrom(p, s.now) // what was in the way may be explained
	}
	s.place(p)
}

func (s *Set) forget(p *place) {
	s.drop(p, func(stranger) bool { return true })
	if p.slot >= 0 {
		heap.Remove(&s.queue, p.slot)
	}
	at := spot{p.Interface, p.Addr}
	s.at[at] = slices.DeleteFunc(s.at[at], func(o *place) bool { return o == p })
	if len(s.at[at]) == 0 {
		delete(s.at, at)
	}
}

// Heard takes note of a frame.
func (s *Set) Heard(now Time, h Sound) {
	s.begin(now)
	h.Addr = h.Addr.Unmap().WithZone("")
	if h.Kind == Control {
		s.controlled(h)
		return
	}
	for _, p := range s.at[spot{h.Interface, h.Addr}] {
		if h.Kind == Probed && p.Role != Probe {
			continue // it is answered, and so knows better
		}
		s.note(p, h)
		s.place(p)
	}
}

// Tick does what has become due. Hand over what was heard first: a frame that waits in a queue
// is no silence.
func (s *Set) Tick(now Time) {
	s.begin(now)
	for _, at := range s.paths {
		s.control(at)
	}
	for len(s.queue) > 0 && s.queue[0].due <= s.now {
		p := s.queue[0]
		if p.Role == Probe {
			s.probe(p)
		} else {
			s.patrol(p)
		}
		s.report(p)
		s.place(p)
	}
}

func (s *Set) begin(now Time) { s.now = max(s.now, now) }

// turn tells whether n frames of a place may be sent now. If not, askAt is its turn.
func (s *Set) turn(p *place, n int) bool {
	if p.reserved {
		p.reserved = false
		return true
	}
	at := max(s.now, s.sendFree)
	s.sendFree = at + Time(n)*frameGap
	if at > s.now {
		p.askAt, p.reserved = at, true
		return false
	}
	return true
}

// place puts a place where it belongs in the queue.
func (s *Set) place(p *place) {
	due := p.askAt
	if p.owed {
		due = min(due, p.defendAt)
	}
	if !slices.Equal(p.findings(), p.told) {
		due = min(due, max(p.tellAt, s.reportFree))
	}
	switch p.due = due; {
	case due == Never && p.slot >= 0:
		heap.Remove(&s.queue, p.slot)
	case due == Never:
	case p.slot < 0:
		heap.Push(&s.queue, p)
	default:
		heap.Fix(&s.queue, p.slot)
	}
}

// report tells who uses the address if that has changed, and it may be told.
func (s *Set) report(p *place) {
	findings := p.findings()
	if slices.Equal(findings, p.told) || s.now < p.tellAt || s.now < s.reportFree {
		return
	}
	p.told, p.tellAt, s.reportFree = findings, s.now+ReportInterval, s.now+reportGap
	s.tell(Report{Lease: p.lease, Addr: p.Addr, Interface: p.Interface, Findings: findings})
}
