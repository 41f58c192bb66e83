// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/wire/mld"
)

// groupRetry is when groups that could not be joined, or not be reported, are tried again.
const groupRetry = 5 * time.Second

// queries carry what the readers hear to the listener: of all groups and of one apart, so that the
// ones cannot crowd out the others. What finds no room is lost, as there is enough of it then.
type queries struct {
	general, specific chan mld.Query
}

func newQueries() queries {
	return queries{general: make(chan mld.Query, 4), specific: make(chan mld.Query, 256)}
}

// query takes a frame that is none of neighbor discovery, and tells whether it is such a one. It
// takes no part in answering: the reader asks with one comparison.
func (p *Port) query(frame []byte) bool {
	const nextHeader, hopByHop = 14 + 6, 0
	if len(frame) <= nextHeader || frame[nextHeader] != hopByHop {
		return false
	}
	q, err := mld.Parse(frame)
	if err == nil {
		to := p.queries.specific
		if q.General() {
			to = p.queries.general
		}
		select {
		case to <- q:
			p.tally.queries.Add(1)
			return true
		default:
		}
	}
	p.tally.queryDrops.Add(1)
	return true
}

// membership has the groups of a session follow the table: at the card, and in what the listener
// of the port reports. Used by the goroutine of Port.Run alone.
type membership struct {
	port    *Port
	sockets *sockets
	timer   *time.Timer
	retry   <-chan time.Time
}

// join begins a session: whatever a switch knew, it is told again.
func (p *Port) join(s *sockets) *membership {
	m := &membership{port: p, sockets: s, timer: time.NewTimer(time.Hour)}
	m.follow()
	m.again()
	return m
}

// follow takes over the groups and the link-local address of the table. Without that address, which
// is so where IPv6 is off, switches cannot be told.
func (m *membership) follow() {
	p := m.port
	t := p.table.Load()
	want := t.Groups()
	failed, err := m.sockets.groups.set(want)
	p.tally.groups.Store(uint64(len(m.sockets.groups.joined)))
	p.listener.Set(Boottime(), slices.Collect(maps.Keys(want)))
	if !t.Self().LinkLocal.IsValid() {
		failed = len(want)
	}
	m.retry = nil
	if failed > 0 || err != nil {
		p.tally.groupErrors.Add(uint64(failed)) // #nosec G115 -- a number of groups
		m.retry = time.After(groupRetry)
	}
	m.tick()
}

// again has everything reported once more.
func (m *membership) again() {
	m.port.listener.Again(Boottime())
	m.tick()
}

func (m *membership) hear(q mld.Query) {
	m.port.listener.Heard(Boottime(), q)
	m.tick()
}

// tick does what is due, and has itself called when there is more. The time is not that of
// Config.Clock, which is the gate's.
func (m *membership) tick() {
	p, l := m.port, m.port.listener
	now := Boottime()
	self := p.table.Load().Self()
	l.SetCard(now, mld.Card{MAC: self.MAC, LinkLocal: self.LinkLocal, MTU: m.sockets.mtu()})
	l.Tick(now)
	for _, frame := range l.Take() {
		if m.sockets.send(frame) != nil {
			p.tally.sendErrors.Add(1)
			continue
		}
		p.tally.reports.Add(1)
	}
	wake := l.Wake()
	if wake == mld.Never {
		m.timer.Stop()
		return
	}
	m.timer.Reset(max(0, wake-now))
}

// mtu is that of the card, now.
func (s *sockets) mtu() int {
	r, err := unix.NewIfreq(s.ifi.Name)
	if err != nil {
		return s.ifi.MTU
	}
	if e := s.ndp.raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFMTU, r) }); e != nil || err != nil {
		return s.ifi.MTU
	}
	return int(r.Uint32())
}
