// SPDX-License-Identifier: Apache-2.0

package election

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
	p, _ := m.peer(m.lease.Holder)
	m.bid = bid{
		uid: m.lease.UID, transitions: m.lease.Transitions + 1,
		cause: m.cause, origin: m.origin, from: m.lease.Holder, seen: p.seen,
	}
	m.swap(Swapping, m.Config.Node)
}

// askRound sends the questions of one round; true once the last is out. A round that lies
// too far back, because this node was held up, begins anew.
func (m *machine) askRound() bool {
	if m.now > m.askedAt+m.Config.AskEvery+m.Config.SwapFresh {
		m.asked = 0
	}
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
	m.wrote = Lease{UID: m.lease.UID, Transitions: m.lease.Transitions + 1, Holder: holder}
	m.do(Swap{Attempt: m.attempt, Lease: m.lease, Holder: holder, Transitions: m.wrote.Transitions})
}

func (m *machine) swapDone(e SwapDone) {
	if e.Attempt != m.attempt || !m.writing {
		return
	}
	m.writing = false
	if e.OK && e.Lease.UID == m.lease.UID {
		m.know(e.Lease)
	}
	m.written(e.OK && m.lease.sameEpoch(e.Lease))
}

// written takes the result of the last write.
func (m *machine) written(ok bool) {
	m.writing = false
	switch m.phase {
	case Giving:
		m.giveSwapped(ok)
	case Swapping:
		m.took(ok)
	default:
	}
}

// took follows a write of this node in its own name. The question that came before it
// still counts while it is fresh.
func (m *machine) took(ok bool) {
	if !ok {
		m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		return
	}
	m.phase, m.again, m.readyAt = Confirming, m.doubted, m.now
}
