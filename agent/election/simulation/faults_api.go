// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// noted ends a fault of the API: what was missed comes only with new connections.
func (w *world) noted(hosts []*host) {
	for _, h := range hosts {
		h.cutUntil = w.now
	}
	w.redial()
}

func counter(at func(h *host) *int) verb {
	return func(w *world, f Fault) func() {
		hosts := w.nodes(f)
		return each(hosts, func(h *host) { *at(h)++ }, func(h *host) { *at(h)--; w.noted([]*host{h}) })
	}
}

func server(at func(s *store) *int) verb {
	return func(w *world, _ Fault) func() {
		*at(w.store)++
		return func() { *at(w.store)--; w.noted(w.hosts) }
	}
}

var apiVerbs = map[string]verb{
	// noapi NODE: what it sends to the API vanishes.
	"noapi": counter(func(h *host) *int { return &h.cut }),
	// refused NODE: its connections to the API are refused.
	"refused": counter(func(h *host) *int { return &h.refused }),
	// hung NODE: its requests may take six seconds.
	"hung": counter(func(h *host) *int { return &h.hung }),
	// answerless NODE: its requests are served, but the answers are lost.
	"answerless": counter(func(h *host) *int { return &h.lost }),
	// down, refusing, slow: the same for the whole API server.
	"down":     server(func(s *store) *int { return &s.down }),
	"refusing": server(func(s *store) *int { return &s.refused }),
	"slow":     server(func(s *store) *int { return &s.slow }),
	// stall NODE: its watch of Leases brings nothing; requests go through.
	"stall": func(w *world, f Fault) func() {
		return w.stall(f, func(p *proc) *stream { return p.leases })
	},
	// stale NODE: its watch of announcements brings nothing.
	"stale": func(w *world, f Fault) func() {
		return w.stall(f, func(p *proc) *stream { return p.policies })
	},
	// rewind D: the Leases are set back to what they were D ago.
	"rewind": func(w *world, f Fault) func() {
		ago := time.Duration(f.number(0, 10)) * time.Second
		for i := range w.store.leases {
			w.store.back(i, w.store.asOf(i, w.now-ago))
		}
		for _, h := range w.hosts {
			h.cutUntil = w.now
		}
		return nil
	},
	// remake: the Leases are deleted; the manager makes them anew at the end, held by their
	// last holders.
	"remake": func(w *world, f Fault) func() {
		last := slices.Clone(w.store.leases)
		for i, l := range last {
			if l.UID != "" {
				w.store.remove(i)
			}
		}
		return func() {
			for i, l := range last {
				if w.store.leases[i].UID == "" {
					w.store.make(i, l.Holder)
				}
			}
		}
	},
}

func (w *world) stall(f Fault, of func(p *proc) *stream) func() {
	var stalled []*stream
	for _, h := range w.nodes(f) {
		if h.proc != nil {
			s := of(h.proc)
			s.broken++
			s.missed = true
			stalled = append(stalled, s)
		}
	}
	return func() {
		for _, s := range stalled {
			s.broken--
			s.proc.host.cutUntil = w.now
		}
		w.redial()
	}
}

// asOf gives a Lease as it stood at a time.
func (s *store) asOf(of int, t time.Duration) (l election.Lease) {
	for _, c := range s.log {
		if !c.isBeat && c.of == of && c.at <= t {
			l = c.lease
		}
	}
	return l
}

var managerVerbs = map[string]verb{
	// blind: all candidates are taken from all announcements.
	"blind": func(w *world, _ Fault) func() { return w.candidates(nil) },
	// candidates NODE...: they are these, in this order.
	"candidates": func(w *world, f Fault) func() {
		var c []string
		for i := range f.Args {
			c = append(c, w.node(f.arg(i)).name)
		}
		return w.candidates(slices.Compact(c))
	},
	// only NODE: it is the only candidate.
	"only": func(w *world, f Fault) func() { return w.candidates([]string{w.node(f.arg(0)).name}) },
	// without NODE: it is no candidate, as when its last endpoint went.
	"without": func(w *world, f Fault) func() {
		h := w.node(f.arg(0))
		return w.candidates(slices.DeleteFunc(slices.Clone(w.manager.now[0].candidates), func(n string) bool { return n == h.name }))
	},
	// reverse: the order of the candidates is turned round.
	"reverse": func(w *world, _ Fault) func() {
		c := slices.Clone(w.manager.now[0].candidates)
		slices.Reverse(c)
		return w.candidates(c)
	},
	// exclude NODE: it must not speak.
	"exclude": func(w *world, f Fault) func() {
		h := w.node(f.arg(0))
		set := func(in bool) {
			for l := range w.Leases {
				w.manager.announce(l, func(a *announcement) {
					ex := map[string]string{}
					maps.Copy(ex, a.excluded)
					delete(ex, h.name)
					if in {
						ex[h.name] = "excluded"
					}
					a.excluded = ex
				})
			}
		}
		set(true)
		return func() { set(false) }
	},
	// move NODE: the speaker shall hand over to it.
	"move": func(w *world, f Fault) func() {
		h := w.node(f.arg(0))
		for l := range w.Leases {
			w.manager.announce(l, func(a *announcement) { a.moveTo = h.name })
		}
		return func() {
			for l := range w.Leases {
				w.manager.announce(l, func(a *announcement) {
					if a.moveTo == h.name {
						a.moveTo = ""
					}
				})
			}
		}
	},
	// displace: the present speakers may be replaced although they answer.
	"displace": func(w *world, _ Fault) func() {
		for l, lease := range w.store.leases {
			w.manager.announce(l, func(a *announcement) { a.displace = epoch{lease.UID, lease.Transitions} })
		}
		return nil
	},
	// withdraw: the announcements are deleted.
	"withdraw": func(w *world, _ Fault) func() {
		set := func(gone bool) {
			for l := range w.Leases {
				w.manager.announce(l, func(a *announcement) { a.gone = gone })
			}
		}
		set(true)
		return func() { set(false) }
	},
}

// candidates sets the candidates of all announcements, and the old ones again at the end.
func (w *world) candidates(to []string) func() {
	for l := range w.Leases {
		w.manager.announce(l, func(a *announcement) { a.candidates = slices.Clone(to) })
	}
	return func() {
		for l := range w.Leases {
			w.manager.announce(l, func(a *announcement) { a.candidates = slices.Clone(w.manager.first[l]) })
		}
	}
}
