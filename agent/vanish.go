// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// few objects may vanish at any time, and at once: their Services are gone.
	few = 3
	// vanishLook is how long a deletion waits to be seen together with others.
	vanishLook = 2 * time.Second
	// vanishHold is how long this node goes on when more than half of all objects vanish: a
	// CRD was deleted, or the API server was set back to an empty state.
	vanishHold = time.Minute
)

// vanished are deletions that wait, in the order in which they came. A voice ends with its
// Service, but not because everything is gone at once.
type vanished struct {
	waiting []deletion
	until   election.Time // held until then; 0: not held
}

// deletion is an object that is gone: its name tells Leases and announcements apart.
type deletion struct {
	name  string
	addrs []v1alpha1.AnnouncedAddress // of an announcement
	at    election.Time
	take  func()
}

// vanish has a deletion wait, where there are enough objects for it to be one of many.
func (l *loop) vanish(name string, addrs []v1alpha1.AnnouncedAddress, total int, take func()) {
	if total <= few {
		take()
		return
	}
	now := l.now()
	v := &l.vanished
	v.waiting = append(v.waiting, deletion{name: name, addrs: addrs, at: now, take: take})
	if n := len(v.waiting); v.until == 0 && n > few && 2*n > total {
		v.until = now + vanishHold
		l.log.Info("more than half of all objects are gone at once: nothing is withdrawn for a while, in case they come back", "gone", n, "of", total, "for", vanishHold.String())
	}
}

// reappear takes a deletion back, if there is one.
func (l *loop) reappear(name string) bool {
	n := len(l.vanished.waiting)
	l.vanished.waiting = slices.DeleteFunc(l.vanished.waiting, func(d deletion) bool { return d.name == name })
	return len(l.vanished.waiting) < n
}

// reassigned acts on the deletions of those whose addresses others have by now: what gives
// addresses away has not lost its memory.
func (l *loop) reassigned(addrs []v1alpha1.AnnouncedAddress) {
	var gone []deletion
	l.vanished.waiting = slices.DeleteFunc(l.vanished.waiting, func(d deletion) bool {
		is := slices.ContainsFunc(d.addrs, func(a v1alpha1.AnnouncedAddress) bool {
			return slices.ContainsFunc(addrs, func(b v1alpha1.AnnouncedAddress) bool { return a.Address == b.Address })
		})
		if is {
			gone = append(gone, d)
		}
		return is
	})
	for _, d := range gone {
		d.take()
	}
}

// believed ends the hold: something new was made, so what gives out objects is well, and those
// that are gone are meant to be. After a loss the same ones would come back first.
func (l *loop) believed() { l.vanished.until = 0 }

// takeVanished acts on the deletions that have waited long enough.
func (l *loop) takeVanished(now election.Time) {
	v := &l.vanished
	if now < v.until {
		return
	}
	v.until = 0
	for len(v.waiting) > 0 && now-v.waiting[0].at >= vanishLook {
		d := v.waiting[0]
		v.waiting = v.waiting[1:]
		d.take()
	}
}
