// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strconv"
	"time"
)

// verb is a kind of fault: it happens, and what it returns ends it (nil: nothing to end).
type verb func(w *world, f Fault) (undo func())

// verbOf finds a verb; nil: there is none.
func verbOf(name string) verb {
	for _, vs := range []map[string]verb{hostVerbs, apiVerbs, wireVerbs, managerVerbs} {
		if v := vs[name]; v != nil {
			return v
		}
	}
	return nil
}

// fault lets a fault happen.
func (w *world) fault(f Fault) {
	w.logf("fault: %s", f)
	undo := verbOf(f.Verb)(w, f)
	if undo != nil && f.For > 0 {
		w.after(f.For, func() {
			w.logf("over: %s", f)
			undo()
		})
	}
}

// arg is the i-th argument; empty: there is none.
func (f Fault) arg(i int) string {
	if i < len(f.Args) {
		return f.Args[i]
	}
	return ""
}

func (f Fault) number(i, otherwise int) int {
	if n, err := strconv.Atoi(f.arg(i)); err == nil {
		return n
	}
	return otherwise
}

// node finds a node by its name or by what it is at this moment: speaker, holder, first or
// second (of the candidates that do not speak).
func (w *world) node(name string) *host {
	speaker := w.check.spots[0].speaker
	switch name {
	case "speaker":
		if speaker != nil {
			return speaker
		}
		return w.node("first")
	case "holder":
		if l := w.store.leases[0]; l.Holder != "" {
			return w.hostOf(l.Holder)
		}
		return w.node("speaker")
	case "first", "second":
		rank := 0
		if name == "second" {
			rank = 1
		}
		for _, n := range w.manager.now[0].candidates {
			h := w.hostOf(n)
			if h == speaker {
				continue
			}
			if rank == 0 {
				return h
			}
			rank--
		}
		for _, h := range w.hosts {
			if h != speaker {
				return h
			}
		}
		return speaker
	default:
		return w.hosts[int(name[0]-'A')%len(w.hosts)]
	}
}

// nodes gives the nodes of the first argument; "all": all.
func (w *world) nodes(f Fault) []*host {
	if f.arg(0) == "all" {
		return w.hosts
	}
	return []*host{w.node(f.arg(0))}
}

// segment gives the segment of the i-th argument; none: the first.
func (w *world) segment(f Fault, i int) *segment {
	if s := segmentOf(f.arg(i)); s >= 0 && s < len(w.segments) {
		return w.segments[s]
	}
	return w.segments[0]
}

// each does something to each node, and the contrary at the end.
func each(hosts []*host, begin, end func(h *host)) func() {
	for _, h := range hosts {
		begin(h)
	}
	return func() {
		for _, h := range hosts {
			end(h)
		}
	}
}

var hostVerbs = map[string]verb{
	// crash NODE|all: power is lost.
	"crash": func(w *world, f Fault) func() { return each(w.nodes(f), (*host).crash, (*host).boot) },
	// kill NODE: the agent dies, its kernel lives.
	"kill": func(w *world, f Fault) func() {
		return each(w.nodes(f), func(h *host) { h.kill("is killed") }, (*host).start)
	},
	// term NODE|all: SIGTERM; the agent is started again once it has ended.
	"term": func(w *world, f Fault) func() {
		return each(w.nodes(f), func(h *host) {
			if h.proc != nil {
				h.proc.leave(10 * time.Second)
			}
		}, (*host).startAgain)
	},
	// pause NODE for D: all threads stop, the clock goes on.
	"pause": func(w *world, f Fault) func() {
		for _, h := range w.nodes(f) {
			if h.proc != nil {
				h.proc.pause(f.For)
			}
		}
		return nil
	},
	// hang NODE for D: the loop alone stops.
	"hang": func(w *world, f Fault) func() {
		for _, h := range w.nodes(f) {
			if h.proc != nil {
				h.proc.hang(f.For)
			}
		}
		return nil
	},
	// stun NODE for D: the hypervisor stops the machine, and its clocks.
	"stun": func(w *world, f Fault) func() {
		for _, h := range w.nodes(f) {
			h.stun(f.For)
		}
		return nil
	},
	// stutter NODE for D: many short pauses.
	"stutter": func(w *world, f Fault) func() {
		for _, h := range w.nodes(f) {
			for t := time.Duration(0); t < f.For; t += 150 * time.Millisecond {
				w.after(t, func() {
					if h.proc != nil && h.proc.paused == 0 {
						h.proc.pause(w.between(0, 90*time.Millisecond))
					}
				})
			}
		}
		return nil
	},
	// upgrade NODE|all: a successor starts beside the agent; of all, one after the other.
	"upgrade": func(w *world, f Fault) func() {
		for i, h := range w.nodes(f) {
			w.after(time.Duration(i)*4*time.Second, h.upgrade)
		}
		return nil
	},
	// unready NODE: its kube-proxy does not forward.
	"unready": func(w *world, f Fault) func() {
		return each(w.nodes(f), func(h *host) { h.unready++; h.changed() }, func(h *host) { h.unready--; h.changed() })
	},
	// carrier NODE SEGMENT: no link.
	"carrier": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		return each(w.nodes(f), func(h *host) {
			h.touched(s)
			h.down[s.index]++
			h.changed()
		}, func(h *host) {
			h.touched(s)
			h.down[s.index]--
			if h.down[s.index] == 0 {
				h.linkChanged()
			}
		})
	},
	// card NODE SEGMENT: its MAC changes.
	"card": func(w *world, f Fault) func() {
		s := w.segment(f, 1)
		for _, h := range w.nodes(f) {
			h.version++
			h.cards[s.index] = macOf(h.index, s.index, h.version)
			h.touched(s)
			h.linkChanged()
		}
		for _, h := range w.hosts { // by the facts
			w.after(w.between(0, w.Lag), h.changed)
		}
		return nil
	},
}

// touched notes that what this node sends or hears may have been lost.
func (h *host) touched(s *segment) {
	for port := range s.ports {
		s.heals(h.index, port)
	}
}

// linkChanged tells the agent that its card is not as it was.
func (h *host) linkChanged() {
	if p := h.proc; p != nil {
		p.loop(func() {
			if p.world.Flaw != NoInterruption {
				p.interrupt()
			}
			p.policiesAgain()
			for _, r := range p.reigns { // as soon as its gate opens
				if r.speaks {
					p.claim(r)
				}
			}
		})
	}
}

// startAgain starts the node's next process once the last one has ended.
func (h *host) startAgain() {
	if h.proc != nil && h.proc.leaving {
		h.world.after(100*time.Millisecond, h.startAgain)
		return
	}
	h.start()
}
