// SPDX-License-Identifier: Apache-2.0

package election

import (
	"cmp"
	"math"
	"slices"
)

// stage is how far a handover has come.
type stage uint8

const (
	looking    stage = iota // reading the candidates' heartbeats
	passing                 // writing the receiver into the Lease
	listening               // speaking on until the receiver is heard
	reclaiming              // it was not heard: writing this node back
	releasing               // nobody takes: writing nobody
)

// give is a handover.
type give struct {
	uid   string // of the Lease
	why   Why
	want  string // the only receiver asked for; empty: any candidate
	to    string // the receiver at hand
	taker string // who was heard to speak since; empty: nobody
	stage stage
	begun Time // when the handover began
	since Time // when the stage began
	asked Time // listening: the last question
	told  Time // the last farewell; zero: none
}

// mustGive tells whether a holder has to hand over, why, and to whom if somebody is named.
func (m *machine) mustGive() (why Why, to string, must bool) {
	switch {
	case m.leaving:
		return Leaving, "", true
	case m.policy.Excluded != "":
		return Excluded, "", true
	case len(m.policy.Servable) == 0:
		return CannotServe, "", true
	case m.voice.UID == "" || m.standing == Wire:
		return 0, "", false
	case m.Calm(m.now) > 0: // wishes wait, and a part that is dark is found dead by the others
		return m.unlisted()
	case m.policy.Unservable != "":
		return m.toFirst(CannotServe)
	case m.policy.MoveTo != "" && m.eligible(m.policy.MoveTo, math.MinInt64+1):
		return Moved, m.policy.MoveTo, true
	default:
		return m.unlisted()
	}
}

// accepts tells whether a gift is taken: only by a node that can do all that the giver may.
func (m *machine) accepts() bool { return m.policy.Unservable == "" && !m.policy.Unready }

// toFirst hands over to the first candidate that did not fail lately, if there is one.
func (m *machine) toFirst(why Why) (Why, string, bool) {
	for _, n := range m.policy.Candidates {
		if m.eligible(n, math.MinInt64+1) {
			return why, n, true
		}
	}
	return 0, "", false
}

// unlisted: a speaker that is no candidate any more, where others are (the endpoints have
// moved, say), hands over to one of them, however often that happens: what arrives here may be
// dropped. But it speaks on until one takes it, for a list that is short or empty silences
// nobody.
func (m *machine) unlisted() (why Why, to string, must bool) {
	if slices.Contains(m.policy.Candidates, m.Config.Node) {
		return 0, "", false
	}
	return m.toFirst(Unlisted)
}

// eligible tells whether a node may be given the Lease, as far as the policy goes. One that
// failed is passed over for a while; by a holder that has to leave, only while it hands over.
func (s State) eligible(node string, since Time) bool {
	return node != s.Config.Node && slices.Contains(s.policy.Candidates, node) &&
		s.failedAt(node) < since
}

// failedAt is when a node last did not take what it was given; before all times: never, or it is
// worth another try.
func (s State) failedAt(node string) Time {
	for _, f := range s.failed {
		if f.node == node && !f.over {
			return f.at
		}
	}
	return math.MinInt64
}

func (m *machine) giveStart(why Why, to string) {
	m.phase = Giving
	m.give = give{uid: m.lease.UID, why: why, want: to, stage: looking, begun: m.now, since: m.now}
	m.giveOn()
}

// deferTo gives the Lease to a node that was heard to speak, without having spoken.
func (m *machine) deferTo(node string) {
	m.phase = Giving
	m.give = give{uid: m.lease.UID, why: Deferred, want: node, to: node, stage: passing, begun: m.now, since: m.now}
	m.swap(Giving, node)
}

// giveOn carries a handover on.
func (m *machine) giveOn() {
	if len(m.policy.Servable) == 0 {
		m.hush(CannotServe, "")
	}
	m.resume()
	if m.writing {
		if late := m.swapAt + m.Config.SwapWait; m.leaving && m.voice.UID != "" {
			if m.now < late {
				m.wakeAt(late)
			} else {
				m.farewell()
			}
		}
		return
	}
	if !m.giveHolds() {
		if m.give.stage == listening && m.lease.Holder == m.Config.Node {
			m.fail(m.give.to) // it gave the Lease back
		}
		m.giveEnd()
		return
	}
	switch m.give.stage {
	case looking:
		m.giveLook()
	case listening:
		m.giveListen()
	case passing, reclaiming, releasing: // the write failed: try again
		if m.leaving && m.voice.UID != "" {
			m.farewell()
		}
		if retry := m.give.since + m.Config.LookFor; m.now < retry {
			m.wakeAt(retry)
			return
		}
		m.give.stage, m.give.since = looking, m.now
		m.giveLook()
	}
}

// giveEnd leaves the handover: the Lease alone says what follows.
func (m *machine) giveEnd() {
	m.phase = Idle
	m.settle()
}

// giveHolds tells whether the Lease still is where the handover has put it; if not, another
// hand has written it, and the handover is over.
func (m *machine) giveHolds() bool {
	if m.lease.UID != m.give.uid {
		return false
	}
	if m.give.stage == listening {
		return m.lease.Holder == m.give.to
	}
	return m.lease.Holder == m.Config.Node
}

// giveLook chooses the receiver: the first candidate whose heartbeat is there and that is
// not leaving itself; then one that failed lately, then one whose heartbeat could not be
// read in time.
func (m *machine) giveLook() {
	why, to, must := m.mustGive()
	if !must {
		m.giveEnd()
		return
	}
	m.give.why, m.give.want = why, to
	if m.voice.UID == "" && m.eligible(m.give.taker, m.give.begun) { // the Lease follows the wire
		m.give.want = m.give.taker
	}
	var known, unread, failed string
	missing := false
	for _, n := range m.policy.Candidates {
		if !m.eligible(n, m.give.begun) || (m.give.want != "" && n != m.give.want) {
			continue
		}
		p, ok := m.peer(n)
		switch {
		case !ok || p.last < m.give.since:
			missing = true
			unread = cmp.Or(unread, n)
		case p.leaving || p.seen == "":
		case m.failedAt(n) >= 0:
			failed = cmp.Or(failed, n)
		default:
			known = cmp.Or(known, n)
		}
	}
	if late := m.give.since + m.Config.LookFor; missing && m.now < late {
		m.wakeAt(late)
		return
	}
	switch next := cmp.Or(known, failed, unread); {
	case next != "":
		m.give.to, m.give.stage, m.give.since = next, passing, m.now
		m.swap(Giving, next)
	case m.give.want != "":
		m.fail(m.give.want)
		m.giveEnd()
	default:
		m.hush(m.give.why, "") // first: whoever finds the Lease vacant may speak at once
		m.give.to, m.give.stage, m.give.since = "", releasing, m.now
		m.swap(Giving, "")
	}
}

// giveListen asks the receiver's card until it is heard, and takes the Lease back after
// the bound.
func (m *machine) giveListen() {
	if m.voice.UID == "" { // nothing is spoken here that would have to go on
		m.giveEnd()
		return
	}
	if m.now > m.give.asked+m.Config.GiveBound/2 {
		m.give.since = m.now // held up: whether the receiver is silent is not known
	}
	bound := m.give.since + m.Config.GiveBound
	if m.now >= bound {
		m.fail(m.give.to)
		m.give.stage, m.give.since = reclaiming, m.now
		m.swap(Giving, m.Config.Node)
		return
	}
	if m.now >= m.give.asked+m.Config.GiveAsk {
		m.give.asked = m.now
		m.do(Ask{Node: m.give.to})
	}
	m.wakeAt(min(bound, m.give.asked+m.Config.GiveAsk))
}

// fail passes a node over for a while: a short one at first, as its kube-proxy may only be slow.
func (m *machine) fail(node string) {
	pause := m.Config.FailedFirst
	for _, f := range m.failed {
		if f.node == node {
			pause = min(2*f.pause, m.Config.FailedFor)
		}
	}
	m.forgive(node)
	m.failed = append(m.failed, failure{node: node, at: m.now, pause: pause})
}

// forgive takes back that a node failed.
func (m *machine) forgive(node string) {
	m.failed = slices.DeleteFunc(slices.Clone(m.failed), func(f failure) bool { return f.node == node })
}

// giveSwapped takes the result of the handover's write.
func (m *machine) giveSwapped(ok bool) {
	m.give.since = m.now
	if !ok {
		return
	}
	switch m.give.stage {
	case passing:
		m.give.stage, m.give.asked = listening, m.now-m.Config.GiveAsk
	case reclaiming:
		if m.voice.UID != "" {
			m.voice, m.standing = m.lease, Held
			m.ghost = m.give.to // it may take the gift yet
		}
		m.give.stage = looking
	case releasing:
		m.phase = Idle
	case looking, listening:
	}
}

// giveHeard ends the own voice at the first sign of the receiver's.
func (m *machine) giveHeard(v Voice) {
	if !m.higher(v) {
		return
	}
	m.hush(m.give.why, cmp.Or(v.Node, m.give.to))
	m.forgive(v.Node) // late, but there: if the taking back succeeds, it is given again
	if v.LeaseUID == m.lease.UID {
		m.give.taker = v.Node
	}
}
