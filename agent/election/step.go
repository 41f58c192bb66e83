// SPDX-License-Identifier: Apache-2.0

package election

import "slices"

// Step takes one event at a time not before the last one's and gives the new state and
// what has to be done, in this order.
func Step(s State, now Time, ev Event) (State, []Action) {
	m := machine{State: s, now: now}
	m.take(ev)
	m.wake = Never
	m.settle()
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
		m.leaseSeen(e.Lease)
	case LeaseGone:
		m.lease = Lease{}
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

// leaseSeen takes what the watch brought, unless a write or a read of this node has already
// shown a later epoch of the same Lease.
func (m *machine) leaseSeen(l Lease) {
	if l.UID == m.lease.UID && l.Transitions < m.lease.Transitions {
		return
	}
	if m.lease.Holder != m.Config.Node && l.Holder != m.lease.Holder {
		m.before = m.lease
	}
	m.lease = l
}

func (m *machine) leaseRead(e LeaseRead) {
	if m.phase != Confirming || !m.reading {
		return
	}
	m.reading = false
	if !e.OK {
		m.again, m.readyAt = true, m.now+m.Config.AskAgain
		return
	}
	m.lease = e.Lease
}

func (m *machine) peerBeat(e PeerBeat) {
	m.peers = slices.Clone(m.peers)
	i := slices.IndexFunc(m.peers, func(p peer) bool { return p.node == e.Node })
	if i < 0 {
		i = len(m.peers)
		m.peers = append(m.peers, peer{node: e.Node})
	}
	p := &m.peers[i]
	if !p.read || p.seen != e.Seen {
		*p = peer{node: e.Node, seen: e.Seen, since: e.Came, last: e.Came, read: true}
	}
	p.last = max(p.last, e.Asked)
	p.leaving = e.Leaving
}

// settle brings the phase in line with what is known. It is idempotent: a second call
// with nothing new changes nothing.
func (m *machine) settle() {
	if len(m.failed) > 0 {
		m.failed = slices.DeleteFunc(slices.Clone(m.failed), func(f failure) bool { return f.until <= m.now })
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
		return // the result of the own write is on its way
	}
	if why, to, must := m.mustGive(); must {
		m.giveStart(why, to)
		return
	}
	if m.phase == Speaking {
		switch {
		case m.voice.UID != m.lease.UID:
			m.hush(Gone, "") // another Lease under the old name
		case m.expired():
			m.hush(Interrupted, "")
		default:
			m.voice = m.lease
			if m.NeedsEcho() {
				m.wakeAt(m.heart.Until(m.Config))
			}
			return
		}
	}
	m.confirm()
}

// expired tells whether the own heartbeats give no right to speak.
func (m *machine) expired() bool { return m.NeedsEcho() && m.now >= m.heart.Until(m.Config) }

// settleOther: the Lease names another node, or nobody.
func (m *machine) settleOther() {
	if m.voice.UID != "" {
		m.hush(Lost, m.lease.Holder)
	}
	if !m.mayTake() {
		m.phase = Idle
		return
	}
	if m.phase == Swapping && m.writing {
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

// wanted tells whether there is a reason to take the Lease, and since when.
func (m *machine) wanted() (cause Why, since Time, ok bool) {
	_, fresh := m.heart.LiveSince(m.now, m.Config.BeatEvery)
	if !fresh {
		return 0, 0, false
	}
	if m.lease.Holder == "" {
		return Vacant, m.now, true
	}
	if m.policy.DisplaceUID != "" && m.policy.DisplaceUID == m.lease.UID &&
		m.policy.DisplaceTransitions == m.lease.Transitions {
		return Displaced, m.now, true
	}
	if since, silent := m.silentSince(m.now); silent {
		return OwnerSilent, since, true
	}
	return 0, 0, false
}

// ask repeats the question, and writes when it stayed unanswered.
func (m *machine) ask() {
	if !m.askRound() {
		return
	}
	due := m.askedAt + m.Config.AskEvery + Time(m.rank())*m.Config.RankStep
	if m.now < due {
		m.wakeAt(due)
		return
	}
	m.before = m.lease
	m.swap(Swapping, m.Config.Node)
}

// askRound sends the questions of one round; true once the last is out.
func (m *machine) askRound() bool {
	if m.asked < m.Config.AskTimes {
		if m.asked > 0 && m.now < m.askedAt+m.Config.AskEvery {
			m.wakeAt(m.askedAt + m.Config.AskEvery)
			return false
		}
		m.do(Ask{Node: m.lease.Holder})
		m.asked++
		m.askedAt = m.now
	}
	if m.asked < m.Config.AskTimes {
		m.wakeAt(m.askedAt + m.Config.AskEvery)
		return false
	}
	return true
}

func (m *machine) swap(p Phase, holder string) {
	m.phase = p
	m.attempt++
	m.writing, m.swapAt, m.doubted = true, m.now, false
	m.do(Swap{Attempt: m.attempt, Lease: m.lease, Holder: holder, Transitions: m.lease.Transitions + 1})
}

func (m *machine) swapDone(e SwapDone) {
	if e.Attempt != m.attempt || !m.writing {
		return
	}
	m.writing = false
	young := e.OK && e.Lease.UID == m.lease.UID && e.Lease.Transitions >= m.lease.Transitions
	if young {
		m.lease = e.Lease
	}
	switch m.phase {
	case Giving:
		m.giveSwapped(young)
	case Swapping:
		m.took(young)
	default:
	}
}

// took follows a write of this node in its own name. Success is a licence to speak only
// while the question that came before it is fresh; settleHolder asks again otherwise.
func (m *machine) took(ok bool) {
	if !ok {
		m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		return
	}
	_, _, must := m.mustGive()
	if must || m.doubted || m.now-m.swapAt > m.Config.SwapFresh || !m.concerned() || m.expired() {
		return
	}
	m.speak(m.cause, m.before.Holder)
}

// confirm is rule (b), and the way into a gift: the Lease names this node, but it does not
// speak yet. A quorum read, then a question on the wire; voices of older epochs of the
// same Lease (the giver's) do not count.
func (m *machine) confirm() {
	if m.phase != Confirming {
		if m.phase != Swapping {
			m.cause, m.origin = Resumed, m.now
			if m.given() {
				m.cause = Given
			}
		}
		m.phase, m.again = Confirming, true
	}
	if m.again {
		if m.now < m.readyAt {
			m.wakeAt(m.readyAt)
			return
		}
		if m.expired() {
			return // until a heartbeat comes back
		}
		m.again, m.reading, m.asked = false, true, 0
		m.do(ReadLease{})
		return
	}
	if m.reading || !m.askRound() {
		return
	}
	if due := m.askedAt + m.Config.AskEvery; m.now < due {
		m.wakeAt(due)
		return
	}
	if m.expired() {
		m.again = true
		return
	}
	m.speak(m.cause, m.before.Holder)
}

// given tells whether the Lease came to this node by another's hand.
func (m *machine) given() bool {
	return m.before.UID == m.lease.UID && m.before.Holder != "" && m.before.Holder != m.Config.Node
}

func (m *machine) speak(why Why, from string) {
	m.phase, m.voice = Speaking, m.lease
	m.before = Lease{}
	m.do(Speak{Why: why, From: from, Took: m.now - m.origin})
}

func (m *machine) hush(why Why, to string) {
	if m.voice.UID == "" {
		return
	}
	m.voice = Lease{}
	m.do(Hush{Why: why, To: to})
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
		if !sameLease || v.Transitions >= m.lease.Transitions {
			m.again, m.readyAt = true, m.now+m.Config.AskAgain
		}
	case Speaking:
		if sameLease && v.Transitions > m.voice.Transitions {
			m.hush(Outranked, "")
			m.phase, m.again, m.readyAt = Confirming, true, m.now
		}
	case Giving:
		m.giveHeard(v)
	case Idle, Standby:
	}
}
