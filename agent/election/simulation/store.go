// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

const (
	serviceUID = "service"
	maxWrites  = 8 // in a second
)

// store is the API server: one Lease, a heartbeat per node, and the history that watches
// carry.
type store struct {
	world   *world
	version int
	lease   election.Lease // zero: none
	beats   map[string]beat
	past    []beat // all heartbeats, for stale reads
	log     []change
	hands   map[epoch]hand // who wrote an epoch, and for whom
	recent  []time.Duration
	made    int
	writes  int
}

// beat is a heartbeat: the seen-th of its process.
type beat struct {
	node        string
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

// change is what a watch carries: a heartbeat, or the Lease (zero: deleted).
type change struct {
	beat  beat
	lease election.Lease
}

// make makes the Lease anew, as the manager does.
func (s *store) make(holder string) {
	s.made++
	s.version++
	s.lease = election.Lease{
		UID: fmt.Sprintf("U%d", s.made), ResourceVersion: fmt.Sprint(s.version),
		Holder: holder, ServiceUID: serviceUID,
	}
	if s.hands == nil {
		s.hands = map[epoch]hand{}
	}
	s.world.logf("manager: Lease %s for %q", s.lease.UID, holder)
	s.tell(change{lease: s.lease})
}

func (s *store) delete() {
	s.version++
	s.lease = election.Lease{}
	s.world.logf("manager: Lease deleted")
	s.tell(change{})
}

// swap writes the Lease if it is still the one that was seen.
func (s *store) swap(by string, a election.Swap) (election.Lease, bool) {
	same := s.lease.UID == a.Lease.UID && s.lease.ResourceVersion == a.Lease.ResourceVersion
	if !same && (s.world.Flaw != NoCompare || s.lease.UID == "") {
		s.world.logf("store: %s's write for %q conflicts", by, a.Holder)
		return election.Lease{}, false
	}
	if a.Holder == by && s.hands[epoch{s.lease.UID, s.lease.Transitions}].by != by { // not its own gift taken back
		s.world.check.taking(s.world, by, s.lease.Holder)
	}
	s.version++
	s.writes++
	s.lease.ResourceVersion = fmt.Sprint(s.version)
	s.lease.Holder, s.lease.Transitions = a.Holder, a.Transitions
	s.hands[epoch{s.lease.UID, a.Transitions}] = hand{by, a.Holder}
	s.busy()
	s.world.logf("store: %s writes %q into %s/%d", by, a.Holder, s.lease.UID, a.Transitions)
	s.tell(change{lease: s.lease})
	return s.lease, true
}

// busy checks that nodes do not hand the Lease to and fro.
func (s *store) busy() {
	s.recent = append(s.recent, s.world.now)
	if n := len(s.recent) - maxWrites; n >= 0 && s.world.now-s.recent[n] < time.Second {
		s.world.check.failf("%d writes in a second", maxWrites)
	}
}

func (s *store) beat(b beat) {
	s.version++
	b.version, b.at = s.version, s.world.now
	s.beats[b.node] = b
	if s.world.Flaw == StaleReads {
		s.past = append(s.past, b)
	}
	s.tell(change{beat: b})
}

// read gives a heartbeat as a quorum has it.
func (s *store) read(node string) beat {
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
	s.log = append(s.log, c)
	for _, n := range s.world.nodes {
		if c.beat.node == "" || c.beat.node == n.name {
			n.leases.plan(len(s.log) - 1)
		}
	}
}

// policy is the announcement: what it says now, and what it said.
type policy struct {
	log []announcement
}

type announcement struct {
	candidates []string
	excluded   map[string]bool
	moveTo     string
}

func (p *policy) last() announcement { return p.log[len(p.log)-1] }

// announce changes the announcement.
func (w *world) announce(f func(a *announcement)) {
	var a announcement
	if len(w.policy.log) > 0 {
		last := w.policy.last()
		a.candidates, a.moveTo = append([]string(nil), last.candidates...), last.moveTo
		a.excluded = map[string]bool{}
		for n := range last.excluded {
			a.excluded[n] = last.excluded[n]
		}
	}
	f(&a)
	w.policy.log = append(w.policy.log, a)
	w.logf("manager: candidates %v, excluded %v, moveTo %q", a.candidates, a.excluded, a.moveTo)
	for _, n := range w.nodes {
		n.policies.plan(len(w.policy.log) - 1)
	}
}
