// SPDX-License-Identifier: Apache-2.0

package election

// confirm leads from a Lease that names this node to its voice. After a write of its own
// the question before the write is enough. Otherwise, rule (b), or a gift: a quorum read,
// then a question on the wire.
func (m *machine) confirm() {
	if m.phase != Confirming {
		m.phase, m.again = Confirming, true
		switch {
		case m.bid.uid == m.lease.UID && m.bid.transitions == m.lease.Transitions:
			m.cause, m.origin = m.bid.cause, m.bid.origin
		case m.given():
			m.cause, m.origin = Given, m.now
		default:
			m.cause, m.origin = Resumed, m.now
		}
	}
	if m.writing || !m.confirmRead() || !m.askRound(m.Config.AskTimes, m.Config.AskEvery) {
		return
	}
	if due := m.askedAt + m.Config.AskEvery; m.now < due {
		m.wakeAt(due)
		return
	}
	if m.expired() {
		m.again, m.readyAt = true, m.now+m.Config.AskEvery
		m.wakeAt(m.readyAt)
		return
	}
	if m.unread {
		if _, fresh := m.heart.LiveSince(m.now, m.Config.BeatEvery); fresh {
			m.again, m.readyAt = true, m.now // the API server is back: the Lease counts
			m.confirmRead()
			return
		}
		m.claim(m.cause)
		return
	}
	if m.cause == Given && m.giftMayBeOver() {
		return
	}
	if m.replacedIsSilent() {
		m.speak(m.cause, m.before.Holder)
	}
}

// confirmRead sees to the quorum read where one is wanted; true once it is back.
func (m *machine) confirmRead() bool {
	if !m.again {
		return !m.reading
	}
	if m.now < m.readyAt {
		m.wakeAt(m.readyAt)
		return false
	}
	if m.reading || m.expired() {
		return false // until the older read, or a heartbeat, comes back
	}
	m.again, m.unread, m.asked = false, false, 0
	m.read()
	return false
}

// giftMayBeOver reads the Lease once more before a gift is used: the giver takes it back
// after GiveBound, and on a busy node the question takes that long. A read that was slow
// itself proves nothing; then all begins anew.
func (m *machine) giftMayBeOver() bool {
	switch {
	case m.readAt < m.askedAt:
		m.read()
		return true
	case m.now-m.readAt > m.Config.GiveBound:
		m.again = true
		m.confirmRead()
		return true
	default:
		return false
	}
}

// replacedIsSilent completes rule (c): the replaced holder may have come back between the
// last read of its heartbeat and the write. If its heartbeat still stands after the write,
// it cannot speak before it has seen the write, because the heartbeat that would let it
// comes back on the watch behind the write. If not, a LeaseDuration after the write it has
// seen it, or is silent.
func (m *machine) replacedIsSilent() bool {
	if m.cause != OwnerSilent {
		return true
	}
	if p, ok := m.peer(m.bid.from); ok && p.last >= m.heldAt && p.seen == m.bid.seen {
		return true
	}
	if free := m.heldAt + m.Config.LeaseDuration; m.now < free {
		m.wakeAt(free)
		return false
	}
	return true
}

// given tells whether the Lease came to this node by another's hand.
func (m *machine) given() bool {
	return (m.bid.uid != m.lease.UID || m.bid.transitions != m.lease.Transitions) &&
		m.before.UID == m.lease.UID && m.before.Holder != "" && m.before.Holder != m.Config.Node
}
