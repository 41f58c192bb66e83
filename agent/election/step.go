// SPDX-License-Identifier: Apache-2.0

package election

import "slices"

// Step takes one event at a time not before the last one's and gives the new state and
// what has to be done, in this order. Every ReadLease and every Swap has to be answered by
// exactly one event, if need be by one that says it failed.
func Step(s State, now Time, ev Event) (State, []Action) {
	m := machine{State: s, now: now}
	m.wake = Never
	m.lapse() // before the event: a heartbeat that comes back too late renews nothing
	m.take(ev)
	m.settle()
	if m.voice.UID != "" && m.NeedsEcho() {
		m.wakeAt(m.heart.Until(m.Config))
	}
	return m.State, m.actions
}

// machine is a State while it is stepped.
type machine struct {
	State

	now     Time
	actions []Action
}

func (m *machine) do(a Action) { m.actions = append(m.actions, a) }

// wakeAt asks for a Tick at t at the latest.
func (m *machine) wakeAt(t Time) { m.wake = min(m.wake, t) }

// take notes what an event says; settle draws the consequences.
func (m *machine) take(ev Event) {
	switch e := ev.(type) {
	case PolicySeen:
		m.policy, m.hasPolicy = e.Policy, true
	case PolicyGone:
		m.policy, m.hasPolicy = Policy{}, false
	case LeaseSeen:
		m.know(e.Lease)
	case LeaseGone:
		m.know(Lease{})
	case LeaseRead:
		m.leaseRead(e)
	case SwapDone:
		m.swapDone(e)
	case Pulse:
		m.heart = e.Heart
	case PeerBeat:
		m.peerBeat(e)
	case Heard:
		m.heard(e.Voice)
	case Leave:
		m.leaving = true
	case Tick:
	}
}

// know takes the Lease as the watch, a read or a write has it, unless a later epoch of the
// same Lease is known already.
func (m *machine) know(l Lease) {
	if l.UID == m.lease.UID && l.Transitions < m.lease.Transitions {
		return
	}
	if l.Holder == m.Config.Node && !l.sameEpoch(m.lease) {
		m.heldAt = m.now
	}
	if m.lease.Holder != m.Config.Node && l.Holder != m.lease.Holder {
		m.before = m.lease
	}
	m.lease = l
	m.resolve()
}

// resolve ends the wait for a write's result once the Lease is known in another epoch than
// the write started from: it succeeded, or never will.
func (m *machine) resolve() {
	if !m.writing || m.lease.UID == m.wrote.UID && m.lease.Transitions < m.wrote.Transitions {
		return
	}
	ok := m.lease.sameEpoch(m.wrote) && m.lease.Holder == m.wrote.Holder
	if ok && m.phase == Swapping {
		return // settleHolder waits for the result, which makes the voice come sooner
	}
	m.written(ok)
}

func (m *machine) leaseRead(e LeaseRead) {
	if !m.reading {
		return
	}
	m.reading = false
	if m.phase != Confirming || m.again {
		return
	}
	if !e.OK || e.Lease.UID != m.lease.UID {
		// Which of two Leases under one name is the younger only the watch can tell.
		m.again, m.readyAt = true, m.now+m.Config.AskAgain
		return
	}
	m.know(e.Lease)
}

func (m *machine) peerBeat(e PeerBeat) {
	if !m.heeds(e.Node) {
		return
	}
	p, ok := m.peer(e.Node)
	if !ok || p.seen != e.Seen {
		p = peer{node: e.Node, seen: e.Seen, since: e.Came, last: e.Asked}
	}
	p.last, p.leaving = max(p.last, e.Asked), e.Leaving
	peers := make([]peer, 0, len(m.peers)+1)
	for _, q := range m.peers {
		if q.node != e.Node && m.heeds(q.node) {
			peers = append(peers, q)
		}
	}
	peers = append(peers, p)
	m.peers = peers
}

// heeds tells whether a node's heartbeat matters here: the loop gives what it reads to all
// its machines.
func (m *machine) heeds(node string) bool {
	return node != m.Config.Node && (node == m.lease.Holder || node == m.bid.from || m.phase == Giving)
}

// settle brings the phase in line with what is known. It is idempotent: a second call
// with nothing new changes nothing.
func (m *machine) settle() {
	m.lapse()
	if len(m.failed) > 0 {
		m.failed = slices.DeleteFunc(slices.Clone(m.failed), func(f failure) bool {
			return m.now > f.at && m.now-f.at >= m.Config.FailedFor
		})
	}
	switch {
	case !m.concerned():
		m.hush(Gone, "")
		m.phase = Idle
	case m.phase == Giving:
		m.giveOn()
	case m.lease.Holder == m.Config.Node:
		m.settleHolder()
	default:
		m.settleOther()
	}
}

// settleHolder: the Lease names this node.
func (m *machine) settleHolder() {
	if m.phase == Swapping && m.writing {
		if late := m.swapAt + m.Config.SwapFresh; m.now < late {
			m.wakeAt(late) // the result of the own write is on its way
			return
		}
		m.writing = false
	}
	if m.voice.UID != "" && m.voice.UID != m.lease.UID {
		m.hush(Gone, "") // another Lease under the old name
	}
	if why, to, must := m.mustGive(); must {
		if back := m.heldAt + 2*m.Config.GiveBound; m.voice.UID == "" && m.given() && m.now < back {
			m.phase = Idle // the giver speaks on, and takes the Lease back
			m.wakeAt(back)
			return
		}
		m.giveStart(why, to)
		return
	}
	if m.voice.UID == "" {
		m.confirm()
		return
	}
	m.phase, m.voice = Speaking, m.lease
}

// lapse ends the voice where the own heartbeats give no right to speak any more.
func (m *machine) lapse() {
	if m.voice.UID != "" && m.expired() {
		m.hush(Interrupted, "")
	}
}

// expired tells whether the own heartbeats give no right to speak.
func (m *machine) expired() bool { return m.NeedsEcho() && m.now >= m.heart.Until(m.Config) }

// settleOther: the Lease names another node, or nobody.
func (m *machine) settleOther() {
	if m.voice.UID != "" {
		m.hush(Lost, m.lease.Holder)
	}
	if m.phase == Swapping && m.writing {
		return
	}
	if !m.mayTake() {
		m.phase = Idle
		return
	}
	cause, from, wanted := m.wanted()
	if !wanted {
		m.phase = Standby
		return
	}
	if m.phase != Asking || m.cause != cause {
		if m.now < m.holdOff {
			m.phase = Standby
			m.wakeAt(m.holdOff)
			return
		}
		m.phase, m.cause, m.origin, m.asked = Asking, cause, from, 0
	}
	m.ask()
}

func (m *machine) speak(why Why, from string) {
	m.phase, m.voice = Speaking, m.lease
	m.before, m.bid = Lease{}, bid{}
	m.do(Speak{Why: why, From: from, Took: m.now - m.origin})
}

func (m *machine) hush(why Why, to string) {
	if m.voice.UID == "" {
		return
	}
	h := Hush{Why: why, To: to}
	switch why {
	case Excluded:
		h.Detail = m.policy.Excluded
	case CannotServe:
		h.Detail = m.policy.Unservable
	default:
	}
	m.voice = Lease{}
	m.do(h)
}

// heard weighs a voice against what this node does.
func (m *machine) heard(v Voice) {
	sameLease := v.LeaseUID == m.lease.UID
	switch m.phase {
	case Asking:
		if m.cause != Displaced {
			m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		}
	case Swapping:
		m.doubted = m.doubted || m.cause != Displaced
	case Confirming:
		// Voices of older epochs are those of who gave the Lease, or has yet to see that
		// it lost it.
		if !sameLease || v.Transitions >= m.lease.Transitions {
			m.again, m.readyAt = true, m.now+m.Config.AskAgain
		}
	case Speaking:
		if sameLease && v.Transitions > m.voice.Transitions {
			m.hush(Outranked, "")
			m.readyAt = m.now
		}
	case Giving:
		m.giveHeard(v)
	case Idle, Standby:
	}
}
