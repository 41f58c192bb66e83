// SPDX-License-Identifier: Apache-2.0

package election

import "slices"

// wanted tells whether there is a reason to take the Lease, and since when.
func (m *machine) wanted() (cause Why, since Time, ok bool) {
	_, fresh := m.heart.LiveSince(m.now, m.Config.BeatEvery)
	switch {
	case m.lease.Holder == "" && fresh:
		return Vacant, m.now, true
	case fresh && m.policy.DisplaceUID != "" && m.policy.DisplaceUID == m.lease.UID &&
		m.policy.DisplaceTransitions == m.lease.Transitions:
		return Displaced, m.now, true
	case m.deadOnTheWire():
		if m.dead.dead.Unheard {
			return OwnerMute, m.dead.dead.Since, true
		}
		return OwnerDead, m.dead.dead.Since, true
	case !fresh && m.current(m.left):
		return OwnerLeft, m.left.at, true
	case m.recalled && !fresh:
		return Remembered, m.epochAt, true
	case fresh:
		if since, silent := m.silentSince(m.now); silent {
			return OwnerSilent, since, true
		}
	}
	return 0, 0, false
}

// current tells whether a verdict is about the present epoch, and young.
func (m *machine) current(v verdict) bool {
	return v.of.UID != "" && v.of.sameEpoch(m.lease) && m.now-v.at <= m.Config.VerdictFresh
}

// deadOnTheWire applies rules (d) and (e): the holder is silent by its own fault, this node
// can serve every address that still answers and one more, and the Lease is not flapping.
func (m *machine) deadOnTheWire() bool {
	if !m.current(m.dead) || m.lease.Holder == "" || m.now-m.dead.dead.Since < m.Patience(m.now) {
		return false
	}
	more := false
	for _, a := range m.policy.Addresses {
		dead, servable := slices.Contains(m.dead.dead.Addrs, a), slices.Contains(m.policy.Servable, a)
		if !dead && !servable {
			return false
		}
		more = more || dead && servable
	}
	return more
}

// delay separates the candidates in time. Those that could not forward, cannot write, or
// serve only a part come after all others.
func (m *machine) delay() Time {
	place := m.rank()
	_, fresh := m.heart.LiveSince(m.now, m.Config.BeatEvery)
	if m.policy.Unready || m.policy.Unservable != "" || !fresh {
		place += len(m.policy.Candidates)
	}
	return Time(place) * m.Config.RankStep
}

// ask repeats the question, and acts when it stayed unanswered. Where the detector has asked
// already, it only waits for its turn.
func (m *machine) ask() {
	due := m.askedAt + m.delay()
	if m.cause != OwnerDead && m.cause != OwnerMute && m.cause != OwnerLeft {
		if !m.askRound(m.Config.AskTimes, m.Config.AskEvery) {
			return
		}
		due = m.askedAt + m.Config.AskEvery + m.delay()
	}
	if m.now < due {
		m.wakeAt(due)
		return
	}
	if m.cause == OwnerDead { // asked by the detector, which had heard the holder before
		m.contact, m.asked, m.askedAt = true, m.Config.AskTimes, m.now-m.Config.AskEvery
	}
	if m.cause == OwnerLeft || m.cause == Remembered {
		m.claim(m.cause)
		return
	}
	p, _ := m.peer(m.lease.Holder)
	m.bid = bid{
		uid: m.lease.UID, transitions: m.lease.Transitions + 1,
		cause: m.cause, origin: m.origin, from: m.lease.Holder, seen: p.seen,
	}
	m.swap(Swapping, m.Config.Node)
	m.awaitSwap()
}

// askRound sends the questions of one round; true once the last is out. A round that lies
// too far back, because this node was held up, begins anew.
func (m *machine) askRound(times int, every Time) bool {
	if m.now > m.askedAt+every+m.Config.SwapFresh {
		m.asked = 0
	}
	if m.asked < times {
		if m.asked > 0 && m.now < m.askedAt+every {
			m.wakeAt(m.askedAt + every)
			return false
		}
		m.do(Ask{})
		m.asked++
		m.askedAt = m.now
	}
	if m.asked < times {
		m.wakeAt(m.askedAt + every)
		return false
	}
	return true
}

// awaitSwap: an API server that does not answer is no reason to be dark. Who found the holder
// dead on the wire claims there: the first standby once its write is refused or late, the next
// ones in their turn, so that they hear the claim of those before them.
func (m *machine) awaitSwap() {
	if m.cause != OwnerDead {
		return
	}
	if !m.writing && !m.lease.precedes(m.wrote) {
		m.written(false) // another hand has written it meanwhile
		return
	}
	due := m.swapAt + Time(max(m.rank(), 0))*m.Config.SwapWait
	if m.writing {
		due += m.Config.SwapWait
	}
	if m.now < due {
		m.wakeAt(due)
		return
	}
	m.claimInstead()
}

// claimInstead claims on the wire what could not be written, unless somebody was heard
// meanwhile, or this node must not speak any more.
func (m *machine) claimInstead() {
	if m.doubted || m.barred() {
		if !m.writing {
			m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		}
		return
	}
	m.claim(m.cause)
}

func (m *machine) swap(p Phase, holder string) {
	m.phase = p
	m.attempt++
	m.writing, m.swapAt, m.doubted, m.rival = true, m.now, false, ""
	m.wrote = Lease{UID: m.lease.UID, Transitions: m.lease.Transitions + 1, Holder: holder}
	m.do(Swap{Attempt: m.attempt, Lease: m.lease, Holder: holder, Transitions: m.wrote.Transitions})
}

func (m *machine) swapDone(e SwapDone) {
	if e.Attempt != m.attempt || !m.writing {
		return
	}
	m.writing = false
	if e.OK && e.Lease.UID == m.lease.UID {
		m.recalled = false
		m.know(e.Lease)
	}
	ok := e.OK && m.lease.sameEpoch(e.Lease)
	if !ok && !e.Conflict && !e.Unsent && m.phase == Swapping && m.cause == OwnerDead {
		return // awaitSwap sees to it
	}
	m.written(ok)
	if e.Conflict && !m.reading {
		m.read() // the watch may lag, or the API server was set back
	}
}

// written takes the result of the last write.
func (m *machine) written(ok bool) {
	m.writing = false
	switch m.phase {
	case Giving:
		m.giveSwapped(ok)
	case Swapping:
		m.took(ok)
	case Speaking:
		m.checkAt = m.now + m.Config.AskAgain
		if ok && m.voice.UID != "" && m.lease.Holder == m.Config.Node {
			m.voice, m.standing, m.bid = m.lease, Held, bid{}
		}
	default:
	}
}

// took follows a write of this node in its own name. The question that came before it
// still counts while it is fresh. Whoever was heard meanwhile gets the Lease.
func (m *machine) took(ok bool) {
	if !ok {
		m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		return
	}
	if m.rival != "" && m.eligible(m.rival, m.now) {
		m.deferTo(m.rival)
		return
	}
	m.phase, m.again, m.readyAt, m.unread = Confirming, m.doubted, m.now, false
}
