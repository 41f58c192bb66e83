// SPDX-License-Identifier: Apache-2.0

package election

import (
	"cmp"
	"slices"
)

// speak begins a voice that holds the Lease.
func (m *machine) speak(why Why, from string) { m.begin(Held, why, from) }

// claim begins a voice on the wire alone: the Lease can neither be read nor written. Without
// anybody who could contradict there, it needs the API after all.
func (m *machine) claim(why Why) {
	if m.expired() {
		m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		return
	}
	m.begin(Wire, why, m.lease.Holder)
	m.checkAt = m.now + m.Config.AskAgain
	m.wakeAt(m.checkAt)
}

func (m *machine) begin(by Standing, why Why, from string) {
	m.phase, m.voice, m.standing, m.muted, m.wireAt = Speaking, m.lease, by, false, m.now
	m.before, m.ghost = Lease{}, ""
	if by == Held { // otherwise the own write may still be committed
		m.bid = bid{}
	}
	if from != m.Config.Node && why.byForce() {
		m.ghost = from
	}
	m.do(Speak{Why: why, From: from, Took: m.now - m.origin})
}

// byForce tells whether the node that spoke before may not know that it was replaced.
func (w Why) byForce() bool {
	return w == OwnerSilent || w == OwnerDead || w == OwnerMute || w == OwnerLeft || w == Displaced || w == Remembered
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
	m.voice, m.standing, m.muted, m.disputed, m.ghost = Lease{}, 0, false, false, ""
	m.do(h)
}

// inherit goes on with the voice of the agent before this one on the same node and card:
// to the segment, nothing has happened.
func (m *machine) inherit(e Inherited) {
	if m.voice.UID != "" || !m.concerned() || !m.lease.sameEpoch(e.Lease) || m.leaving ||
		(m.lease.Holder == m.Config.Node) != (e.Standing == Held) {
		return
	}
	m.cause, m.origin = Taken, m.now
	m.begin(e.Standing, Taken, m.Config.Node)
}

// interrupted: what was asked before the gap counts no more, and a voice does not go on before
// a heartbeat sent after the gap came back, or it has asked. Until it knows the Lease again,
// it speaks by the wire's standing.
func (m *machine) interrupted() {
	switch {
	case m.voice.UID != "":
		m.muted, m.standing, m.wireAt, m.checkAt = true, Wire, m.now, m.now+m.Config.ResumeCheck
		m.asked, m.askedAt = 0, m.now
	case m.phase == Swapping:
		m.doubted = true
	case m.phase == Confirming:
		m.again, m.readyAt = true, m.now
	case m.phase == Asking:
		m.asked, m.askedAt = 0, m.now
	}
	m.dead = verdict{}
}

// resume asks on behalf of an interrupted voice, and lets it speak again when no higher one
// was heard (heard would have ended it).
func (m *machine) resume() {
	if !m.muted {
		return
	}
	if begin := m.wireAt + m.Config.ResumeWait; m.now < begin {
		m.wakeAt(begin)
		return
	}
	if !m.askRound(m.Config.ResumeTimes, m.Config.ResumeEvery) {
		return
	}
	if due := m.askedAt + m.Config.ResumeEvery; m.now < due {
		m.wakeAt(due)
		return
	}
	m.muted = false
}

// echoed: whoever has the echo of a heartbeat has seen all Leases as they were when it was
// sent. One that was sent after an interruption so tells all voices at once what they missed.
func (m *machine) echoed() {
	if m.voice.UID != "" && m.standing == Wire && m.lease.Holder == m.Config.Node && m.heart.Last() > m.wireAt && !m.writing {
		m.voice, m.standing, m.muted, m.bid = m.lease, Held, false, bid{}
	}
}

// check reads the Lease again for a voice of the wire's standing that the Lease names.
func (m *machine) check() {
	switch {
	case m.standing != Wire || m.reading || m.writing:
	case m.now < m.checkAt:
		m.wakeAt(m.checkAt)
	default:
		m.read()
	}
}

// checked takes the result: read is whether the Lease could be read.
func (m *machine) checked(read bool) {
	m.checkAt = m.now + m.Config.AskAgain
	if read && m.lease.Holder == m.Config.Node {
		m.voice, m.standing, m.bid = m.lease, Held, bid{}
	}
}

// stand is a voice of the wire's standing whose Lease names another node, or nobody. Once the
// API server can be reached it writes itself. If another node was named meanwhile, that one
// may be about to speak: its card is asked for a while.
func (m *machine) stand() {
	m.phase = Speaking
	switch {
	case m.policy.Excluded != "":
		m.hush(Excluded, "")
	case len(m.policy.Servable) == 0:
		m.hush(CannotServe, "")
	}
	if m.voice.UID == "" {
		m.phase = Idle
		return
	}
	m.resume()
	if m.leaving {
		m.farewell()
		return
	}
	if m.writing {
		return
	}
	if m.now < m.checkAt {
		m.wakeAt(m.checkAt)
		return
	}
	if _, fresh := m.heart.LiveSince(m.now, m.Config.BeatEvery); !fresh {
		m.seek() // until a heartbeat comes back
		return
	}
	if m.lease.Holder != "" && !m.lease.sameEpoch(m.voice) && !m.holderIsSilent() {
		return
	}
	m.swap(Speaking, m.Config.Node)
}

// seek asks now and then whether somebody else claims too: two that could not hear each other
// when they replaced a third do not look for each other, and no Lease says who is right.
func (m *machine) seek() {
	if m.checkAt = m.now + m.Config.LeaseDuration; !m.muted {
		m.do(Ask{})
	}
	m.wakeAt(m.checkAt)
}

// holderIsSilent asks the card of the node that the Lease names by now; true once it did not
// answer for GiveBound. If it answers, heard ends the voice here.
func (m *machine) holderIsSilent() bool {
	if !m.named.sameEpoch(m.lease) {
		m.named, m.namedAt = m.lease, m.now
	}
	free := m.namedAt + m.Config.GiveBound
	if m.now >= free {
		return true
	}
	m.do(Ask{Node: m.lease.Holder})
	m.checkAt = m.now + m.Config.AskEvery
	m.wakeAt(min(free, m.checkAt))
	return false
}

// farewell asks the others to take over, again and again until one is heard.
func (m *machine) farewell() {
	if m.now >= m.give.told+m.Config.LookFor || m.give.told == 0 {
		m.give.told = m.now
		m.do(Farewell{})
	}
	m.wakeAt(m.give.told + m.Config.LookFor)
}

// rewind takes a Lease of an older epoch than was known. A voice goes on by the wire's
// standing, and writes itself back.
func (m *machine) rewind(l Lease) {
	m.learn(l)
	if m.voice.UID != "" {
		m.standing, m.wireAt, m.checkAt = Wire, m.now, m.now
	}
}

// recall takes the Lease from disk, where the API has not said otherwise.
func (m *machine) recall(l Lease) {
	if m.lease.UID == "" {
		m.recalled = true
		m.know(l)
	}
}

// higher tells whether a voice goes before the own one: of a later epoch, or by the Lease
// against the wire, or by the lower MAC. An own voice that was interrupted goes after its
// equals: who spoke meanwhile stays.
func (m *machine) higher(v Voice) bool {
	same := v.LeaseUID == m.voice.UID && v.Transitions == m.voice.Transitions
	switch {
	case same && m.standing == Wire && v.Node != "" && v.Node == m.leaver && m.current(m.left):
		return false // it asked to be replaced
	case !v.Vouched && v.LeaseUID == m.lease.UID && m.voice.UID != m.lease.UID:
		return true // the Lease was made anew, and names another
	case v.Vouched || v.LeaseUID != m.voice.UID:
		return false
	case v.Transitions != m.voice.Transitions:
		return v.Transitions > m.voice.Transitions
	case m.leaving && v.Standing == Wire: // asked for
		return true
	case v.Standing != m.standing:
		return v.Standing > m.standing
	default:
		return m.muted || v.Lower
	}
}

// heard weighs a voice against what this node does.
func (m *machine) heard(v Voice) {
	if m.elsewhere(v) {
		return
	}
	same := v.LeaseUID == m.lease.UID
	if same && v.Transitions >= m.dead.of.Transitions {
		m.dead = verdict{}
		if v.Node != m.leaver { // another has taken over already
			m.left = verdict{}
		}
	}
	switch m.phase {
	case Asking:
		if !m.cause.ordered() || m.cause == OwnerLeft && v.Node != m.leaver {
			m.phase, m.holdOff = Standby, m.now+m.Config.AskAgain
		}
	case Swapping:
		if !m.cause.ordered() {
			m.doubted = true
			if !v.Vouched {
				m.rival = v.Node
			}
		}
	case Confirming:
		m.heardConfirming(v, same)
	case Speaking:
		switch {
		case m.higher(v):
			m.outrank(v.Node)
		case v.Vouched:
		case v.LeaseUID == m.voice.UID: // it does not know better, and is to be told
			m.ghost = cmp.Or(v.Node, m.ghost)
		default:
			m.dispute(v)
		}
	case Giving:
		m.giveHeard(v)
	case Idle, Standby:
	}
}

// outrank ends the voice for another one.
func (m *machine) outrank(by string) {
	m.hush(Outranked, by)
	m.holdOff = m.now + m.Config.AskAgain
}

// dispute is a voice in another Lease for an address of this one's. No standing compares the
// two, but one of the Leases is not there any more: which, is read, once a second at most.
// Until then the voice waits, unless the other one's is a ghost to a holder.
func (m *machine) dispute(v Voice) {
	if m.disputed || m.heardAt != 0 && m.now < m.heardAt+m.Config.AskAgain {
		return
	}
	m.disputed, m.disputer, m.heardAt = true, v.Node, m.now
	m.waits = m.standing == Wire || v.Node == "" || v.Node != m.ghost
}

// ruled ends a dispute: who waited goes on only in a Lease that was read to be there.
func (m *machine) ruled(e LeaseRead) {
	if !m.disputed || m.readAt < m.heardAt {
		return
	}
	m.disputed = false
	switch {
	case e.OK && e.Lease.UID == m.voice.UID:
		m.ghost = cmp.Or(m.disputer, m.ghost)
	case e.OK:
		m.outrank(m.disputer)
		m.readyAt = m.holdOff // the watch has yet to tell of the other Lease
	case m.waits:
		m.outrank(m.disputer)
	}
}

// elsewhere tells whether a voice is that of a holder who is dead for another address: that it
// answers for this one is known, and no sign of life there.
func (m *machine) elsewhere(v Voice) bool {
	return m.voice.UID == "" && v.Addr.IsValid() && v.LeaseUID == m.lease.UID && v.Transitions == m.lease.Transitions &&
		m.dead.of.UID != "" && m.dead.of.sameEpoch(m.lease) && !slices.Contains(m.dead.dead.Addrs, v.Addr)
}

// ordered tells whether a voice that answers is replaced all the same.
func (w Why) ordered() bool { return w == Displaced || w == OwnerLeft }

// heardConfirming: the Lease names this node, but another speaks. Who gave it speaks on until
// it hears this node; whoever else does, gets the Lease, for a VIP that answers stays where
// it is.
func (m *machine) heardConfirming(v Voice, same bool) {
	switch {
	case v.Vouched || m.cause.ordered():
	case same && v.Transitions <= m.lease.Transitions && m.cause != Given && m.eligible(v.Node, m.now):
		m.deferTo(v.Node)
	case !same || v.Transitions >= m.lease.Transitions:
		m.again, m.readyAt = true, m.now+m.Config.AskAgain
	}
}
