// SPDX-License-Identifier: Apache-2.0

package simulation

// links counts a fault up on ways between ports, and down at the end.
func (s *segment) links(of [][]int, ways [][2]int) func() {
	for _, w := range ways {
		of[w[0]][w[1]]++
		s.heals(w[0], w[1])
	}
	return func() {
		for _, w := range ways {
			of[w[0]][w[1]]--
			s.heals(w[0], w[1])
		}
	}
}

// around lists the ways from a port, to it, or both.
func (s *segment) around(port int, out, in bool) (ways [][2]int) {
	for o := range s.ports {
		if o == port {
			continue
		}
		if out {
			ways = append(ways, [2]int{port, o})
		}
		if in {
			ways = append(ways, [2]int{o, port})
		}
	}
	return ways
}

func between(a, b int) [][2]int { return [][2]int{{a, b}, {b, a}} }

// lan counts a fault of a whole segment.
func lan(at func(s *segment) *int) verb {
	return func(w *world, f Fault) func() {
		s := w.segment(f, 0)
		s.touchAll()
		*at(s)++
		return func() {
			*at(s)--
			s.touchAll()
		}
	}
}

func (s *segment) touchAll() {
	for a := range s.ports {
		for b := range s.ports {
			s.healed[a][b] = s.world.now
		}
	}
}

var wireVerbs = map[string]verb{
	// nowire NODE SEGMENT: the node is alone there, its carrier stands.
	"nowire": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return s.links(s.cut, s.around(w.node(f.arg(0)).index, true, true))
	},
	// deaf, mute: it hears nothing; nothing of it is heard.
	"deaf": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return s.links(s.cut, s.around(w.node(f.arg(0)).index, false, true))
	},
	"mute": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return s.links(s.cut, s.around(w.node(f.arg(0)).index, true, false))
	},
	// filter NODE SEGMENT: a port filter takes its answers and claims, for VIPs alone.
	"filter": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return each(w.nodes(f), func(h *host) { h.mute[s.index]++; h.touched(s) }, func(h *host) { h.mute[s.index]--; h.touched(s) })
	},
	// pair NODE NODE SEGMENT: the two do not hear each other; oneway: the second not the first.
	"pair": func(w *world, f Fault) func() {
		s := w.segment(f, 2)
		return s.links(s.cut, between(w.node(f.arg(0)).index, w.node(f.arg(1)).index))
	},
	"oneway": func(w *world, f Fault) func() {
		s := w.segment(f, 2)
		return s.links(s.cut, [][2]int{{w.node(f.arg(0)).index, w.node(f.arg(1)).index}})
	},
	// nobroadcast NODE SEGMENT: what goes to all does not reach it; nounicast: what goes to one.
	"nobroadcast": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return s.links(s.broadcast, s.around(w.node(f.arg(0)).index, false, true))
	},
	"nounicast": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return s.links(s.unicast, s.around(w.node(f.arg(0)).index, false, true))
	},
	// split NODE...: they and the guest are parted from the others, the gateway and the
	// client on the first segment.
	"split": func(w *world, f Fault) func() {
		s := w.segments[0]
		side := make([]bool, s.ports)
		side[s.guest()] = true
		for i := range f.Args {
			side[w.node(f.arg(i)).index] = true
		}
		var ways [][2]int
		for a := range s.ports {
			for b := range s.ports {
				if side[a] != side[b] {
					ways = append(ways, [2]int{a, b})
				}
			}
		}
		return s.links(s.cut, ways)
	},
	// isolated SEGMENT: nodes hear the gateway and the client, not each other.
	"isolated": lan(func(s *segment) *int { return &s.isolated }),
	// suppress SEGMENT: the switch answers for whom it knows.
	"suppress": lan(func(s *segment) *int { return &s.suppress }),
	// proxy SEGMENT: the gateway answers for everything.
	"proxy": lan(func(s *segment) *int { return &s.proxy }),
	// bare SEGMENT: marks are stripped.
	"bare": lan(func(s *segment) *int { return &s.bare }),
	// doubled, delayed SEGMENT: frames come twice, or take up to 90 ms.
	"doubled": lan(func(s *segment) *int { return &s.doubled }),
	"delayed": lan(func(s *segment) *int { return &s.delayed }),
	// gateless SEGMENT: the gateway is dead.
	"gateless": lan(func(s *segment) *int { return &s.gateless }),
	// loss SEGMENT PERCENT: so many frames are lost.
	"loss": func(w *world, f Fault) func() {
		s, by := w.segment(f, 0), f.number(1, 20)
		s.loss += by
		return func() { s.loss -= by; s.touchAll() }
	},
}
