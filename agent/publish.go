// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// publish brings tables and reports in line with the elections, where one has changed.
func (l *loop) publish() {
	if len(l.changed) == 0 {
		return
	}
	changed := l.changed
	l.changed = nil
	for _, r := range changed {
		r.changed = false
		r.entries = nil
		l.guard(r, func() { r.entries = r.table() })
	}
	l.setTables(changed)
	for _, r := range changed {
		l.guard(r, func() { l.tellVoice(r) })
	}
}

// setTables gives every port its table. Only what is put into them was found anew where it
// changed: a thousand VIPs that come to this node one by one are a thousand tables.
func (l *loop) setTables(changed []*reign) {
	l.resolve(changed)
	tables := map[string][]neighbor.Entry{}
	for name, o := range l.ports.open {
		tables[name] = make([]neighbor.Entry, 0, o.entries)
	}
	for _, r := range l.reigns {
		for _, e := range r.entries {
			if l.clash && l.byAddr[e.Addr] != r {
				continue
			}
			for _, i := range e.on {
				tables[i.Name] = append(tables[i.Name], e.Entry)
			}
		}
	}
	for name, entries := range tables {
		if len(entries) == 0 {
			continue
		}
		for _, addr := range slices.Concat(l.witnesses[name], l.controls[controlPath{name, false}], l.controls[controlPath{name, true}]) {
			tables[name] = append(tables[name], neighbor.Entry{Addr: addr, Witness: true})
		}
	}
	l.ports.publish(l.ctx, tables)
}

// resolve finds the reign of each address, if that may have changed. An address that moves
// from one Service to another may stand in two announcements for a moment: the one that
// has a voice counts.
func (l *loop) resolve(changed []*reign) {
	moved := l.moved
	for _, r := range changed {
		for _, e := range r.entries {
			moved = moved || l.byAddr[e.Addr] != r
		}
	}
	if !moved {
		return
	}
	l.moved, l.clash = false, false
	clear(l.byAddr)
	clear(l.also)
	for _, r := range l.reigns {
		for _, e := range r.entries {
			prior := l.byAddr[e.Addr]
			l.clash = l.clash || prior != nil
			switch {
			case prior == nil:
				l.byAddr[e.Addr] = r
			case r.precedes(prior):
				l.byAddr[e.Addr] = r
				l.also[e.Addr] = append(l.also[e.Addr], prior)
			default:
				l.also[e.Addr] = append(l.also[e.Addr], r)
			}
		}
	}
}

// tellVoice tells users of a voice that is new, or is of another epoch or other cards than
// before.
func (l *loop) tellVoice(r *reign) {
	voice, speaks := r.state.Voice()
	s := r.speech
	if !speaks || s == nil {
		return
	}
	at := r.spoken(l.ports.trouble)
	uid := r.announcement.UID // another one if it was made anew
	if len(at) == 0 || slices.Equal(s.at, at) && s.epoch == voice && s.uid == uid {
		return
	}
	first := s.at == nil
	s.at, s.epoch, s.uid = at, voice, uid
	if first && s.Why != election.Taken {
		l.events.record(speakEvent(s, l.config.Node))
	}
	l.report.put(s.key, s.report(l.config.Node))
}
