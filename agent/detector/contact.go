// SPDX-License-Identifier: Apache-2.0

package detector

// awaitContact looks for a peer's question in the epoch of a Lease that this node has to do
// with: one that was heard already, or the next.
func (d *Detector) awaitContact(l *lease) {
	d.contacts = without(d.contacts, l)
	if l.view.Role == Away || l.contacted {
		return
	}
	for _, t := range l.targets {
		if t.path.contact >= l.view.Since {
			l.contacted = true
			d.tell(Contacted{Lease: l.name})
			return
		}
	}
	d.contacts = append(d.contacts, l)
}

// contact takes note of a peer's question on a path.
func (d *Detector) contact(p *path, at Time) {
	p.contact = max(p.contact, at)
	wait := d.contacts[:0]
	for _, l := range d.contacts {
		if l.on(p) && at >= l.view.Since {
			l.contacted = true
			d.tell(Contacted{Lease: l.name})
		} else {
			wait = append(wait, l)
		}
	}
	clear(d.contacts[len(wait):])
	d.contacts = wait
}

func (l *lease) on(p *path) bool {
	for _, t := range l.targets {
		if t.path == p {
			return true
		}
	}
	return false
}

// watched takes note of what a peer's question says of hearing this node.
func (d *Detector) watched(p *path, s Sound) {
	p.asked = max(p.asked, s.At)
	if s.Flags&FlagHears != 0 {
		p.hears = max(p.hears, s.At)
	}
	if s.Flags&FlagBare != 0 {
		p.bared = max(p.bared, s.At)
	}
	if s.Flags&FlagDeaf != 0 && s.At > p.deafened {
		p.deafened, p.deafener = s.At, s.From
	}
}

// Watched tells what peers say of hearing this node, which speaks for the Lease, as of the
// last call that brought anything new.
func (d *Detector) Watched(name string) Watched {
	var w Watched
	l := d.leases[name]
	if l == nil || l.view.Role != Speak {
		return w
	}
	from := d.now - d.cfg.WatchedFor
	for _, t := range l.targets {
		w.Asked = w.Asked || t.path.asked >= from
		w.Hears = w.Hears || t.path.hears >= from
		w.Bare = w.Bare || t.path.bared >= from
		if t.path.deafened >= from {
			w.Deaf = t.path.deafener
		}
	}
	w.Bare = w.Bare && !w.Hears
	return w
}
