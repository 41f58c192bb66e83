// SPDX-License-Identifier: Apache-2.0

package detector

import "slices"

// lease is a Lease that is followed.
type lease struct {
	name      string
	view      View
	targets   []*target
	audible   bool // as last told
	contacted bool // told in this epoch
	laid      bool // the replaced node knows this epoch: no ghost is asked for any more
	unheard   []unheard
	told      uint64 // the verdict in which it was told last
}

// unheard is a speaker whose silence about a single address was told.
type unheard struct {
	card MAC
	at   Time
}

// target is an address of a Lease on a path.
type target struct {
	lease *lease
	path  *path
	place Place
	// card is who is asked: the speaker of the view, or the voice that was heard since.
	card  MAC
	heard Time // when that card last answered for the address, by this epoch's right

	// One of the two at most, and where in it.
	stream *stream
	ghost  *ghost
	slot   int

	again   Time // no new suspicion before
	dead    bool
	deadAt  Time // when that was last found
	silent  Time // since when
	quiet   int  // suspicions in a row that it met with silence
	cast    Time // the last broadcast about it
	haunted Time // the last Ghost output about it
	replace Time // when this node replaced the card of place.Ghost
}

// known is whether the address answered in the present epoch.
func (t *target) known() bool { return t.heard >= t.lease.view.Since }

// forget takes a target for a new one.
func (t *target) forget() {
	t.again, t.dead, t.quiet = ago, false, 0
}

// Follow tells what this node has to do with a Lease's addresses from now on; the zero
// View ends it. A View equal to the last one changes nothing and costs little.
func (d *Detector) Follow(now Time, name string, v View) {
	l := d.leases[name]
	if l == nil && v.Role == Away || l != nil && l.view.equal(v) {
		return
	}
	d.begin(now)
	if v.Role == Away {
		d.unfollow(l)
		return
	}
	if l == nil {
		l = &lease{name: name}
		d.leases[name] = l
	}
	was := l.view
	l.view = v
	l.view.Places = slices.Clone(v.Places)
	turned := was.Role != v.Role || was.Since != v.Since || was.Transitions != v.Transitions
	if turned {
		l.contacted, l.laid = false, false
	}
	old := l.targets
	l.targets = make([]*target, 0, len(v.Places))
	for _, place := range v.Places {
		place.Addr = plain(place.Addr)
		if l.find(place) != nil || !place.Addr.IsValid() {
			continue
		}
		i := slices.IndexFunc(old, func(t *target) bool { return t.at(place) })
		if i < 0 {
			t := d.newTarget(l, place)
			t.replace = now
			l.targets = append(l.targets, t)
			continue
		}
		t := old[i]
		old = slices.Delete(old, i, i+1)
		if was.Role != v.Role || was.Transitions != v.Transitions || t.place.Speaker != place.Speaker {
			t.forget()
			if t.card != place.Speaker {
				t.card, t.heard = place.Speaker, ago
			}
		}
		if turned || t.place.Ghost != place.Ghost { // a claim without the Lease begins no epoch
			t.replace = now
		}
		t.place = place
		l.targets = append(l.targets, t)
	}
	for _, t := range old {
		d.dropTarget(t)
	}
	for _, t := range l.targets {
		d.assign(now, t)
	}
	d.tellAudible(l)
	d.awaitContact(l)
}

func (d *Detector) unfollow(l *lease) {
	for _, t := range l.targets {
		d.dropTarget(t)
	}
	delete(d.leases, l.name)
	d.contacts = without(d.contacts, l)
}

func (l *lease) find(p Place) *target {
	for _, t := range l.targets {
		if t.at(p) {
			return t
		}
	}
	return nil
}

func (t *target) at(p Place) bool {
	return t.place.Addr == p.Addr && t.place.Interface == p.Interface
}

func (d *Detector) newTarget(l *lease, place Place) *target {
	p := d.path(Path{Interface: place.Interface, V6: place.Addr.Is6()})
	t := &target{
		lease: l, path: p, place: place, card: place.Speaker,
		heard: ago, again: ago, cast: ago, haunted: ago,
	}
	p.targets[place.Addr] = append(p.targets[place.Addr], t)
	return t
}

func (d *Detector) dropTarget(t *target) {
	d.detach(t)
	d.vouches = slices.DeleteFunc(d.vouches, func(v vouch) bool { return v.target == t })
	p := t.path
	if rest := without(p.targets[t.place.Addr], t); len(rest) > 0 {
		p.targets[t.place.Addr] = rest
	} else {
		delete(p.targets, t.place.Addr)
	}
	d.dropPath(p)
}

// assign puts a target into the stream, or the ghost, where it now belongs.
func (d *Detector) assign(now Time, t *target) {
	v := &t.lease.view
	var wantStream, wantGhost streamKey
	switch {
	case v.Role == Stand && v.Near && t.card != MAC{}:
		wantStream = streamKey{card: t.card, path: t.path}
	case v.Role == Speak && t.place.Ghost != MAC{} && !t.lease.laid && now < t.replace+d.cfg.GhostFor:
		wantGhost = streamKey{card: t.place.Ghost, path: t.path}
	}
	if t.stream != nil && t.stream.key != wantStream || t.ghost != nil && t.ghost.key != wantGhost {
		d.detach(t)
	}
	if t.stream == nil && wantStream.path != nil {
		d.attach(now, t, wantStream)
	}
	if wantGhost.path != nil {
		d.haunt(now, t, wantGhost)
	}
}

// detach takes a target out of its stream or ghost.
func (d *Detector) detach(t *target) {
	switch {
	case t.stream != nil:
		d.leaveStream(t)
	case t.ghost != nil:
		d.leaveGhost(t)
	}
}

// remove takes s[t.slot] out of a slice of targets; the last one takes its place.
func remove(s []*target, t *target) []*target {
	last := len(s) - 1
	s[t.slot] = s[last]
	s[t.slot].slot = t.slot
	s[last] = nil
	return s[:last]
}

// without gives s without x, in order.
func without[T comparable](s []T, x T) []T {
	if i := slices.Index(s, x); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}
