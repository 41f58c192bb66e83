// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// publish brings tables and reports in line with the elections, where one has changed.
func (l *loop) publish() {
	if !l.dirty {
		return
	}
	l.dirty = false
	l.setTables()
	changed := l.changed
	l.changed = nil
	for _, r := range changed {
		r.changed = false
		l.guard(r, func() { l.tellVoice(r) })
	}
}

// setTables gives every port its table. An address that moves from one Service to another
// may stand in two announcements for a moment.
func (l *loop) setTables() {
	clear(l.byAddr)
	for _, r := range l.reigns {
		for _, c := range r.carried {
			if prior := l.byAddr[c.addr]; prior == nil || r.precedes(prior) {
				l.byAddr[c.addr] = r
			}
		}
	}
	tables := map[string][]neighbor.Entry{}
	for addr, r := range l.byAddr {
		l.guard(r, func() {
			e, on := r.entry(addr)
			for _, i := range on {
				tables[i.Name] = append(tables[i.Name], e)
			}
		})
	}
	l.ports.publish(l.ctx, tables)
}

// tellVoice tells users of a voice that is new, or is of another epoch or other cards than
// before.
func (l *loop) tellVoice(r *reign) {
	voice, speaks := r.state.Voice()
	s := r.speech
	if !speaks || s == nil {
		return
	}
	at := r.spoken(l.ports.broken)
	if len(at) == 0 || slices.Equal(s.at, at) && s.epoch == voice {
		return
	}
	first := s.at == nil
	s.at, s.epoch = at, voice
	if first {
		l.events.record(speakEvent(s, l.config.Node))
	}
	l.report.put(s.key, s.report(l.config.Node))
}
