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
	if stands, _ := m.Stands(); !stands {
		m.audible = false // nobody is listened to
	}
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
		m.recalled = false
		m.know(e.Lease)
		if e.Lease.UID == m.lease.UID && e.Lease.Transitions < m.lease.Transitions {
			m.behind, m.since = true, m.now // the watch lags, or the API server was set back
		}
	case LeaseGone:
		m.recalled = false
		m.know(Lease{})
	case LeaseRead:
		m.leaseRead(e)
	case SwapDone:
		m.swapDone(e)
	case Pulse:
		m.heart = e.Heart
		m.echoed()
	case PeerBeat:
		m.peerBeat(e)
	case Heard:
		m.heard(e.Voice)
	case Dead:
		m.dead = verdict{of: m.lease, at: m.now, dead: e}
	case Audible:
		m.audible = e.OK
	case Contacted:
		m.contact = true
	case Interrupted:
		m.interrupted()
	case Recalled:
		m.recall(e.Lease)
	case Left:
		m.left, m.leaver = verdict{of: m.lease, at: m.now}, e.Node
		m.contact = true
	case Inherited:
		m.inherit(e)
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
	m.learn(l)
}

func (m *machine) learn(l Lease) {
	if !l.sameEpoch(m.lease) {
		m.turn(l)
	}
	m.lease = l
	m.resolve()
}

// turn notes a new epoch.
func (m *machine) turn(l Lease) {
	m.epochAt = m.now
	mine := l.Holder == m.Config.Node
	if mine {
		m.heldAt = m.now
	}
	// Whoever found the holder dead on the wire was answered there before.
	m.contact = m.contact && mine && (m.voice.UID != "" || m.bid.cause == OwnerDead)
	if m.lease.Holder != m.Config.Node && l.Holder != m.lease.Holder {
		m.before = m.lease
	}
	if l.UID == m.lease.UID {
		for range m.changes(l) {
			m.flaps = m.flaps.note(m.now, m.Config)
		}
	}
	m.dead, m.behind = verdict{}, false
}

// changes is how often the holder changed until the Lease was as l says: what this node did not
// see, as it stood still for instance, counts too.
func (m *machine) changes(l Lease) int {
	n := int(l.Transitions - m.lease.Transitions)
	switch {
	case l.Holder != m.lease.Holder:
		n = max(n, 1)
	case n < 2:
		n = 0
	}
	return min(n, maxFlaps)
}

// resolve ends the wait for a write's result once the Lease is known in another epoch than
// the write started from: it succeeded, or never will.
func (m *machine) resolve() {
	if !m.writing || m.lease.precedes(m.wrote) {
		return
	}
	m.written(m.lease.sameEpoch(m.wrote) && m.lease.Holder == m.wrote.Holder)
}

// inquire reads the Lease where it is in doubt, until a read succeeds.
func (m *machine) inquire() {
	if m.reading || !m.behind && !m.disputed {
		return
	}
	from := m.since
	if m.disputed {
		from = m.heardAt
	}
	if due := m.readAt + m.Config.AskAgain; m.readAt >= from && m.now < due {
		m.wakeAt(due)
		return
	}
	m.read()
}

// read asks for the Lease by quorum.
func (m *machine) read() {
	m.reading, m.readAt, m.readOf = true, m.now, m.lease
	m.do(ReadLease{})
}

func (m *machine) leaseRead(e LeaseRead) {
	if !m.reading {
		return
	}
	m.reading = false
	same := e.OK && e.Lease.UID == m.lease.UID
	switch {
	case same && e.Lease.Transitions < m.readOf.Transitions:
		// The API server was set back to an older state. Which is what counts now.
		m.recalled = false
		m.rewind(e.Lease)
	case same:
		m.recalled = false
		m.know(e.Lease)
	}
	m.behind = m.behind && (!e.OK || m.readAt < m.since)
	m.ruled(e)
	if m.voice.UID != "" && m.standing == Wire {
		m.checked(same)
		return
	}
	if m.phase != Confirming || m.again {
		return
	}
	switch _, fresh := m.heart.LiveSince(m.now, m.Config.BeatEvery); {
	case same:
	case !e.OK && !fresh:
		m.unread = true
	default:
		// Which of two Leases under one name is the younger only the watch can tell.
		m.again, m.readyAt = true, m.now+m.Config.AskAgain
	}
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
			return m.now-f.at >= 2*m.Config.FailedFor
		})
		for i := range m.failed {
			f := &m.failed[i]
			if f.over = m.now-f.at >= f.pause; !f.over {
				m.wakeAt(f.at + f.pause)
			}
		}
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
	m.inquire()
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
		// The manager made the Lease anew, for who speaks.
		m.voice, m.standing, m.wireAt, m.checkAt = m.lease, Wire, m.now, m.now
	}
	why, to, must := m.mustGive()
	if back := m.heldAt + 2*m.Config.GiveBound; m.voice.UID == "" && m.given() && (must || !m.accepts()) && m.now < back {
		m.phase = Idle // the giver speaks on, and takes the Lease back
		m.wakeAt(back)
		return
	}
	if must {
		m.giveStart(why, to)
		return
	}
	if m.voice.UID == "" {
		m.confirm()
		return
	}
	m.phase, m.voice = Speaking, m.lease
	m.resume()
	m.check()
}

// lapse ends the voice where the own heartbeats give no right to speak any more.
func (m *machine) lapse() {
	if m.voice.UID != "" && m.expired() {
		m.hush(CutOff, "")
	}
}

// expired tells whether the own heartbeats give no right to speak.
func (m *machine) expired() bool { return m.NeedsEcho() && m.now >= m.heart.Until(m.Config) }

// replaced tells whether the voice held the Lease until another hand has written it: that the
// voice was interrupted meanwhile gives it no right to write it back.
func (m *machine) replaced() bool {
	return m.voice.Holder == m.Config.Node && m.voice.UID == m.lease.UID && m.voice.Transitions < m.lease.Transitions
}

// settleOther: the Lease names another node, or nobody.
func (m *machine) settleOther() {
	if m.voice.UID != "" {
		if m.standing == Wire && !m.replaced() {
			m.stand()
			return
		}
		m.hush(Lost, m.lease.Holder)
	}
	if m.phase == Swapping {
		m.awaitSwap()
		if m.phase != Standby {
			return
		}
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
		m.phase, m.cause, m.origin, m.asked, m.askedAt = Asking, cause, from, 0, m.now
	}
	m.ask()
}
