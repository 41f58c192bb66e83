// SPDX-License-Identifier: Apache-2.0

package election

import "slices"

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
	why   Why
	want  string // the only receiver asked for; empty: any candidate
	to    string // the receiver at hand
	stage stage
	since Time // when the stage began
	asked Time // listening: the last question
}

// mustGive tells whether a holder has to hand over, why, and to whom if somebody is named.
func (m *machine) mustGive() (why Why, to string, must bool) {
	switch {
	case m.leaving:
		return Leaving, "", true
	case m.policy.Excluded != "":
		return Excluded, "", true
	case m.policy.Unservable != "":
		return CannotServe, "", true
	case m.policy.MoveTo != "" && m.eligible(m.policy.MoveTo):
		return Moved, m.policy.MoveTo, true
	default:
		return 0, "", false
	}
}

// eligible tells whether a node may be given the Lease, as far as the policy goes.
func (m *machine) eligible(node string) bool {
	return node != m.Config.Node && slices.Contains(m.policy.Candidates, node) &&
		!slices.ContainsFunc(m.failed, func(f failure) bool { return f.node == node })
}

func (m *machine) giveStart(why Why, to string) {
	if m.phase == Giving {
		return
	}
	m.phase = Giving
	m.give = give{why: why, want: to, stage: looking, since: m.now}
	if why == CannotServe {
		m.hush(CannotServe, "")
	}
	m.giveOn()
}

// giveOn carries a handover on.
func (m *machine) giveOn() {
	if m.writing {
		return
	}
	if !m.giveHolds() {
		m.phase = Idle
		m.settle()
		return
	}
	switch m.give.stage {
	case looking:
		m.giveLook()
	case listening:
		m.giveListen()
	case passing, reclaiming, releasing: // the write failed: try again
		if retry := m.give.since + m.Config.LookFor; m.now < retry {
			m.wakeAt(retry)
			return
		}
		m.give.stage, m.give.since = looking, m.now
		m.giveLook()
	}
}

// giveHolds tells whether the Lease still is where the handover has put it; if not, another
// hand has written it, and the handover is over.
func (m *machine) giveHolds() bool {
	if m.give.stage == listening {
		return m.lease.Holder == m.give.to
	}
	return m.lease.Holder == m.Config.Node
}

// giveLook chooses the receiver: the first candidate whose heartbeat is there and that is
// not leaving itself; one whose heartbeat could not be read in time comes last.
func (m *machine) giveLook() {
	var known, unread string
	missing := false
	for _, n := range m.policy.Candidates {
		if !m.eligible(n) || (m.give.want != "" && n != m.give.want) {
			continue
		}
		i := slices.IndexFunc(m.peers, func(p peer) bool { return p.node == n && p.last >= m.give.since })
		switch {
		case i < 0:
			missing = true
			if unread == "" {
				unread = n
			}
		case m.peers[i].leaving || m.peers[i].seen == "":
		case known == "":
			known = n
		}
	}
	if late := m.give.since + m.Config.LookFor; missing && m.now < late {
		m.wakeAt(late)
		return
	}
	if known == "" {
		known = unread
	}
	switch {
	case known != "":
		m.give.to, m.give.stage, m.give.since = known, passing, m.now
		m.swap(Giving, known)
	case m.give.why == Moved:
		m.fail(m.give.want)
		m.phase = Speaking
		m.settle()
	default:
		m.give.to, m.give.stage, m.give.since = "", releasing, m.now
		m.swap(Giving, "")
	}
}

// giveListen asks the receiver's card until it is heard, and takes the Lease back after
// the bound.
func (m *machine) giveListen() {
	if m.voice.UID == "" { // nothing is spoken here that would have to go on
		m.phase = Idle
		m.settle()
		return
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
		m.do(Ask{Node: m.give.to, Quiet: true})
	}
	m.wakeAt(min(bound, m.give.asked+m.Config.GiveAsk))
}

// fail passes a node over for a while.
func (m *machine) fail(node string) {
	m.failed = append(slices.Clone(m.failed), failure{node: node, until: m.now + m.Config.FailedFor})
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
			m.voice = m.lease
		}
		m.give.stage = looking
	case releasing:
		m.hush(m.give.why, "")
		m.phase = Idle
	case looking, listening:
	}
}

// giveHeard ends the own voice at the first sign of the receiver's.
func (m *machine) giveHeard(v Voice) {
	if v.LeaseUID != m.lease.UID || v.Transitions <= m.voice.Transitions {
		return
	}
	m.hush(m.give.why, m.give.to)
	if m.give.stage == listening {
		m.phase = Idle
	}
}
