// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
)

// segment is a LAN: a switch with a port for each node, then the gateway, a client and a
// guest. The counters tell how many faults of a kind there are at the moment.
type segment struct {
	world *world
	index int
	ports int

	cut       [][]int // from, to
	broadcast [][]int // only what goes to all is lost
	unicast   [][]int // only what goes to one is lost
	isolated  int     // nodes hear no nodes
	suppress  int     // the switch answers questions itself, and floods few
	proxy     int     // the gateway answers for everything
	bare      int     // marks are stripped
	loss      int     // percent
	doubled   int     // frames arrive twice
	delayed   int     // frames take up to 90 ms
	gateless  int     // the gateway is dead

	learned []detector.MAC // by address: which card the switch answers with
	healed  [][]time.Duration
}

func newSegment(w *world, index int) *segment {
	s := &segment{world: w, index: index, ports: w.Nodes + 3, loss: w.Loss}
	for range s.ports {
		s.cut = append(s.cut, make([]int, s.ports))
		s.broadcast = append(s.broadcast, make([]int, s.ports))
		s.unicast = append(s.unicast, make([]int, s.ports))
		s.healed = append(s.healed, make([]time.Duration, s.ports))
	}
	for _, l := range w.Leases {
		for range l {
			s.learned = append(s.learned, detector.MAC{})
		}
	}
	if w.NoGateway {
		s.gateless = 1
	}
	return s
}

func (s *segment) gateway() int { return s.world.Nodes }
func (s *segment) client() int  { return s.world.Nodes + 1 }
func (s *segment) guest() int   { return s.world.Nodes + 2 }

// powered tells whether a port has a host with power and carrier.
func (s *segment) powered(port int) bool {
	switch {
	case port < s.world.Nodes:
		h := s.world.hosts[port]
		return h.on && !h.stunned && h.down[s.index] == 0
	case port == s.gateway():
		return s.gateless == 0
	case port == s.guest():
		return s.world.Guest
	default:
		return true
	}
}

// way tells whether a frame gets from one port to another.
func (s *segment) way(from, to int, all bool) bool {
	if s.cut[from][to] > 0 || s.isolated > 0 && from < s.world.Nodes && to < s.world.Nodes {
		return false
	}
	if all {
		return s.broadcast[from][to] == 0
	}
	return s.unicast[from][to] == 0
}

// heals notes that something between ports was mended, or was lost: what one missed, it
// has to be told again.
func (s *segment) heals(a, b int) {
	s.healed[a][b], s.healed[b][a] = s.world.now, s.world.now
}

// send puts a frame on the wire, to all or to one card.
func (s *segment) send(f frame, to detector.MAC) {
	f.at = s.world.now
	if !s.powered(f.from) {
		return
	}
	if s.bare > 0 {
		f = strip(f)
	}
	f.all = to == broadcast
	if s.suppress > 0 && s.suppressed(f) {
		return
	}
	for port := range s.ports {
		if port == f.from || port == s.client() || !f.all && s.cardOf(port) != to {
			continue
		}
		s.pass(f, port)
		if s.doubled > 0 && s.world.chance(0.3) {
			s.pass(f, port)
		}
	}
	if s.proxy > 0 && f.all && f.kind == detector.Question {
		s.reply(f, s.gateway(), macOf(s.gateway(), s.index, 0))
	}
}

func (s *segment) cardOf(port int) detector.MAC {
	if port < s.world.Nodes {
		return s.world.hosts[port].cards[s.index]
	}
	return macOf(port, s.index, 0)
}

// strip takes the mark from a frame: to agents, it is that of a stranger.
func strip(f frame) frame {
	if f.mark.set {
		f.mark = mark{}
		if f.kind == detector.Answer {
			f.kind = detector.BareAnswer
		}
	}
	return f
}

// pass carries a frame to one port.
func (s *segment) pass(f frame, to int) {
	w := s.world
	if !s.way(f.from, to, f.all) || !s.powered(to) && (to >= w.Nodes || !w.hosts[to].stunned) {
		return
	}
	if s.loss > 0 && w.rng.IntN(100) < s.loss {
		s.heals(f.from, to)
		return
	}
	delay := 20*time.Microsecond + time.Duration(w.rng.Int64N(int64(180*time.Microsecond)))
	if s.delayed > 0 {
		delay = w.between(0, 90*time.Millisecond)
	}
	w.after(delay, func() {
		if to < w.Nodes {
			w.hosts[to].hear(s, f)
			return
		}
		if f.kind == probe && f.of == to && s.powered(to) {
			s.reply(f, to, macOf(to, s.index, 0))
		}
	})
}

// reply sends an unmarked answer from a port.
func (s *segment) reply(f frame, from int, card detector.MAC) {
	if !s.powered(from) {
		return
	}
	kind := detector.BareAnswer
	if f.vip == nil {
		kind = detector.WitnessAnswer
	}
	a := frame{kind: kind, vip: f.vip, of: f.of, v6: f.v6, from: from, card: card}
	s.send(a, f.card)
}

// suppressed is what a switch does that spares the segment questions (Linux' neigh_suppress,
// EVPN): it answers for whom it has learned, but not questions by unicast with the sender
// 0.0.0.0, and does not flood what names no sender or announces.
func (s *segment) suppressed(f frame) bool {
	switch f.kind {
	case detector.Answer, detector.BareAnswer, detector.Claim:
		if f.vip != nil {
			s.learned[f.vip.index] = f.card
		}
		return f.all
	case detector.Question:
		if f.zero && !f.sixth() {
			return f.all
		}
		card := s.learned[f.vip.index]
		if card == (detector.MAC{}) {
			return false
		}
		s.world.after(100*time.Microsecond, func() {
			if f.from < s.world.Nodes {
				a := frame{kind: detector.BareAnswer, vip: f.vip, from: s.client(), card: card, at: s.world.now}
				s.world.hosts[f.from].hear(s, a)
			}
		})
		return true
	case probe:
		s.world.after(100*time.Microsecond, func() {
			if f.from < s.world.Nodes {
				a := frame{kind: detector.WitnessAnswer, of: f.of, v6: f.v6, from: s.client(), card: s.cardOf(f.of), at: s.world.now}
				s.world.hosts[f.from].hear(s, a)
			}
		})
		return true
	default:
		return f.all
	}
}

var broadcast = detector.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
