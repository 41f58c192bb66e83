// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

const maxWrites = 8 // of a Lease in a second

// store is the API server: Leases, a heartbeat per node, and the history that watches carry.
type store struct {
	world   *world
	version int
	leases  []election.Lease // zero: none
	beats   []beat           // by node
	past    []beat           // all heartbeats, for stale reads
	log     []change
	hands   map[epoch]hand // who wrote an epoch, and for whom
	order   map[string]int // by UID: which Lease came first
	recent  [][]time.Duration
	made    int
	writes  int

	down    int // > 0: it does not answer
	refused int // > 0: connections are refused
	slow    int // > 0: it takes seconds
}

// beat is a heartbeat: the number-th of its process.
type beat struct {
	node        int
	incarnation int
	number      int
	leaving     bool
	version     int
	at          time.Duration
}

type hand struct{ by, holder string }

type epoch struct {
	uid         string
	transitions int32
}

// change is what a watch carries: a heartbeat, or a Lease (zero: deleted).
type change struct {
	isBeat bool
	beat   beat
	of     int
	lease  election.Lease
	at     time.Duration
}

func (s *store) away() int { return s.down + s.refused }

func serviceUID(lease int) string { return "service" + leaseNames[lease] }

// make makes a Lease anew, as the manager does.
func (s *store) make(of int, holder string) {
	s.made++
	s.version++
	s.leases[of] = election.Lease{
		UID: fmt.Sprintf("U%d", s.made), ResourceVersion: fmt.Sprint(s.version),
		Holder: holder, ServiceUID: serviceUID(of),
	}
	s.order[s.leases[of].UID] = s.made
	s.hands[epoch{s.leases[of].UID, 0}] = hand{"", holder}
	s.world.logf("manager: Lease %d is %s for %q", of, s.leases[of].UID, holder)
	s.tell(change{of: of, lease: s.leases[of]})
}

func (s *store) remove(of int) {
	s.version++
	s.leases[of] = election.Lease{}
	s.world.logf("manager: Lease %d deleted", of)
	s.tell(change{of: of})
}

// swap writes a Lease if it is still the one that was seen.
func (s *store) swap(by *proc, of int, a election.Swap) (election.Lease, bool) {
	l := &s.leases[of]
	same := l.UID == a.Lease.UID && l.ResourceVersion == a.Lease.ResourceVersion
	if !same && (s.world.Flaw != NoCompare || l.UID == "") {
		s.world.logf("store: %s's write for %q into %d conflicts", by.host.name, a.Holder, of)
		return election.Lease{}, false
	}
	s.version++
	s.writes++
	l.ResourceVersion = fmt.Sprint(s.version)
	l.Holder, l.Transitions = a.Holder, a.Transitions
	s.hands[epoch{l.UID, a.Transitions}] = hand{by.host.name, a.Holder}
	s.busy(of)
	s.world.logf("store: %s writes %q into %d: %s/%d", by.host.name, a.Holder, of, l.UID, a.Transitions)
	s.tell(change{of: of, lease: *l})
	return *l, true
}

// busy checks that nodes do not hand a Lease to and fro.
func (s *store) busy(of int) {
	s.recent[of] = append(s.recent[of], s.world.now)
	if n := len(s.recent[of]) - maxWrites; n >= 0 && s.world.now-s.recent[of][n] < time.Second {
		s.world.check.failf("spin: %d writes in a second", maxWrites)
	}
}

// back sets a Lease to what it was some time ago, as a restored backup does.
func (s *store) back(of int, then election.Lease) {
	if then.UID == "" {
		return
	}
	s.version++
	then.ResourceVersion = fmt.Sprint(s.version)
	s.leases[of] = then
	s.world.logf("store: Lease %d is set back to %s/%d, %q", of, then.UID, then.Transitions, then.Holder)
	s.tell(change{of: of, lease: then})
}

func (s *store) beat(b beat) {
	s.version++
	b.version, b.at = s.version, s.world.now
	s.beats[b.node] = b
	if s.world.Flaw == StaleReads {
		s.past = append(s.past, b)
	}
	s.tell(change{isBeat: true, beat: b})
}

// read gives a heartbeat as a quorum has it.
func (s *store) read(node int) beat {
	b := s.beats[node]
	for i := len(s.past) - 1; i >= 0 && s.world.now-b.at < 8*time.Second; i-- {
		if s.past[i].node == node {
			b = s.past[i]
		}
	}
	return b
}

// tell hands a change to the watches.
func (s *store) tell(c change) {
	c.at = s.world.now
	s.log = append(s.log, c)
	for _, h := range s.world.hosts {
		if c.isBeat && c.beat.node != h.index {
			continue
		}
		for _, p := range []*proc{h.proc, h.next} {
			if p != nil {
				p.leases.plan(len(s.log) - 1)
			}
		}
	}
}
