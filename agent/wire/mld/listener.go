// SPDX-License-Identifier: Apache-2.0

package mld

import (
	"container/heap"
	"net/netip"
	"slices"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Card is from where reports are sent.
type Card struct {
	MAC neighbor.MAC
	// LinkLocal is the address of the card; while it is invalid, nothing is sent.
	LinkLocal netip.Addr
	// MTU in octets, at least 1280.
	MTU int
}

// ready tells whether reports can be sent.
func (c Card) ready() bool { return c.LinkLocal.Is6() }

// Listener is the listener's part of MLD on one card. What it is told comes in the order of time;
// Tick is due at Wake, and after whatever it was told. Not safe for use by several goroutines.
type Listener struct {
	card   Card
	random random
	frames [][]byte

	groups  map[netip.Addr]*group
	members []*group // sorted by address

	changes []*group // queued; what is not queued any more is passed over
	rest    []*group // resting, as well
	again   Time     // when these are queued
	answers []*group // that wait as answers
	next    Time     // when the pace allows the next frame
	calm    Time     // when it allows the next answer of version 1
	spread  Time     // between such answers

	general Time // when all members are to wait as answers
	window  Time // the delay of the query that wants them
	timers  timers

	v1Until    Time // Older Version Querier Present; Never: no such querier
	robustness int
	interval   Time
}

// New makes a listener of no group that has no address. The seed should be another one on each
// card of the LAN.
func New(seed uint64) *Listener {
	return &Listener{
		random: random(seed), groups: map[netip.Addr]*group{},
		again: Never, general: Never, v1Until: Never,
		robustness: Robustness, interval: QueryInterval,
	}
}

// Take gives the Ethernet frames to be sent, and forgets them.
func (l *Listener) Take() [][]byte {
	frames := l.frames
	l.frames = nil
	return frames
}

// Len is the number of groups the card is to be a member of.
func (l *Listener) Len() int { return len(l.members) }

// Version is that of the reports: 1 or 2.
func (l *Listener) Version() int {
	if l.v1Until != Never {
		return 1
	}
	return 2
}

// SetCard says from where reports are sent. Another address, or the first, has all groups reported
// as if they were new.
func (l *Listener) SetCard(now Time, c Card) {
	old := l.card
	l.card = c
	switch {
	case !c.ready():
		l.silence()
	case !old.ready() || old.LinkLocal != c.LinkLocal || old.MAC != c.MAC:
		l.Again(now)
	}
}

// Again has all groups reported as if they were new: whoever knew of them may have forgotten, or is
// somebody else.
func (l *Listener) Again(now Time) {
	l.expire(now)
	if !l.card.ready() {
		return
	}
	for _, g := range l.members {
		l.tell(g)
	}
	var gone []*group
	for _, g := range l.groups {
		if !g.member {
			gone = append(gone, g)
		}
	}
	slices.SortFunc(gone, byAddr)
	for _, g := range gone {
		l.tell(g)
	}
}

func byAddr(a, b *group) int { return a.addr.Compare(b.addr) }

// reportable leaves out what is never reported (RFC 3810 section 6): what stays on the link by
// itself.
func reportable(a netip.Addr) bool {
	const scope, linkLocal = 0x0f, 2
	return a.IsMulticast() && a.Is6() && !a.Is4In6() && a != netip.IPv6LinkLocalAllNodes() && a.As16()[1]&scope >= linkLocal
}

// Set says which groups the card is to be a member of, in any order.
func (l *Listener) Set(now Time, groups []netip.Addr) {
	l.expire(now)
	want := make(map[netip.Addr]bool, len(groups))
	var joined []*group
	for _, a := range groups {
		a = a.WithZone("")
		if want[a] || !reportable(a) {
			continue
		}
		want[a] = true
		g := l.groups[a]
		if g == nil {
			g = &group{addr: a, at: Never, slot: -1}
			l.groups[a] = g
		}
		if !g.member {
			g.member = true
			joined = append(joined, g)
		}
	}
	slices.SortFunc(joined, byAddr)
	members := slices.Clone(joined)
	for _, g := range l.members {
		if want[g.addr] {
			members = append(members, g)
		} else {
			l.leave(g)
		}
	}
	for _, g := range joined {
		l.tell(g)
	}
	slices.SortFunc(members, byAddr)
	l.members = members
}

// leave ends a membership. What nobody was told of needs no word.
func (l *Listener) leave(g *group) {
	g.member = false
	l.disarm(g)
	if !g.told {
		l.forget(g)
		return
	}
	l.tell(g)
}

// tell has the change of a group sent at once, and again (RFC 3810 section 6.1).
func (l *Listener) tell(g *group) {
	g.left = l.robustness
	if g.change != queued && l.card.ready() {
		g.change = queued
		l.changes = append(l.changes, g)
	}
}

func (l *Listener) forget(g *group) {
	g.left, g.change = 0, nowhere
	delete(l.groups, g.addr)
}

func (l *Listener) arm(g *group, at Time) {
	g.at = at
	if g.slot < 0 {
		heap.Push(&l.timers, g)
		return
	}
	heap.Fix(&l.timers, g.slot)
}

func (l *Listener) disarm(g *group) {
	if g.slot >= 0 {
		heap.Remove(&l.timers, g.slot)
	}
	g.at = Never
}

// silence ends whatever waits to be sent. What is to be told is told by Again.
func (l *Listener) silence() {
	l.cancel()
	for _, g := range l.changes {
		g.change = nowhere
	}
	l.changes = nil
}

// cancel ends the pending answers and the repeats of changes.
func (l *Listener) cancel() {
	for _, g := range l.answers {
		g.answer = false
	}
	for _, g := range l.timers {
		g.at, g.slot = Never, -1
	}
	for _, g := range l.rest {
		if g.change != resting {
			continue
		}
		if g.change = nowhere; !g.member && l.card.ready() {
			l.forget(g)
		}
	}
	l.answers, l.timers, l.rest = nil, nil, nil
	l.general, l.again = Never, Never
}

// expire ends the compatibility with version 1 when its time is over.
func (l *Listener) expire(now Time) {
	if now >= l.v1Until {
		l.v1Until = Never
		l.cancel() // RFC 3810 section 8.2.1
	}
}
