// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"net/netip"
	"slices"
)

// judge gives the verdict on what is still silent after the last round.
func (d *Detector) judge(now Time, st *stream) {
	s := st.suspicion
	d.endSuspicion(now, st)
	silent := make([]*target, 0, len(s.sample))
	cast := 0
	for _, x := range s.sample {
		if x.answered {
			continue
		}
		if x.cast {
			cast++
		}
		x.target.quiet++
		if s.direct {
			x.target.again = s.since + d.cfg.Again
			d.watchMute(st, x.target)
			if !x.cast {
				continue // nobody could vouch for it
			}
		}
		silent = append(silent, x.target)
	}
	if s.vouched && !s.direct {
		// The card is heard by others, and not at all from here: the path is broken, and
		// of the addresses that nobody happened to vouch for nothing is known.
		for _, t := range silent {
			t.quiet = 0
		}
		return
	}
	if !s.direct && cast*2 < len(silent) {
		// Too many nodes die at once to ask all for each: once more, in turn.
		st.again, st.retry, st.next, st.hungry = ago, s.sample[0].target, now, true
		s.sample[0].target.again = ago
		return
	}
	if !st.key.path.proves(s) || d.lost(now, st) > d.cfg.TooMuchLoss {
		return
	}
	knows := slices.ContainsFunc(silent, (*target).known)
	if !s.direct && !s.vouched && knows && len(silent) == len(s.sample) {
		d.condemnAll(now, st, s.since)
		return
	}
	var dead []*target
	for _, t := range silent {
		switch {
		case t.known():
			dead = append(dead, t)
		case s.direct && d.unheardable(now, st, t):
			d.tellUnheard(now, t, s.since)
		}
	}
	d.condemn(now, dead, s.since)
}

// condemnAll finds the card dead: all that it was heard in the epoch of is dead.
func (d *Detector) condemnAll(now Time, st *stream, since Time) {
	dead := make([]*target, 0, len(st.targets))
	for _, t := range st.targets {
		if t.dead || st.heard >= t.lease.view.Since {
			dead = append(dead, t)
		}
	}
	st.mute = nil // the stream itself is asked again
	d.condemn(now, dead, since)
}

// condemn tells targets dead, each Lease once.
func (d *Detector) condemn(now Time, dead []*target, since Time) {
	for _, t := range dead {
		if !t.dead {
			t.dead, t.silent = true, since
		}
		t.deadAt = now
	}
	d.verdict++
	for _, t := range dead {
		l := t.lease
		if l.told == d.verdict {
			continue
		}
		l.told = d.verdict
		o := Dead{Lease: l.name, Since: Never}
		for _, x := range l.targets {
			// What was found long ago and not since is not known any more.
			if x.dead && now-x.deadAt <= 2*d.cfg.Again {
				o.Addrs = append(o.Addrs, x.place.Addr)
				o.Since = min(o.Since, x.silent)
			}
		}
		d.tell(o)
	}
}

// unheardable is whether an address that never answered in its epoch may be told dead
// although its speaker lives.
func (d *Detector) unheardable(now Time, st *stream, t *target) bool {
	if t.known() || now-t.lease.view.Since < d.cfg.UnheardAfter || now-st.heard > d.audibleFor() {
		return false
	}
	return !slices.ContainsFunc(t.lease.unheard, func(u unheard) bool {
		return u.card == t.card && now-u.at < d.cfg.UnheardEvery
	})
}

func (d *Detector) tellUnheard(now Time, t *target, since Time) {
	l := t.lease
	l.unheard = slices.DeleteFunc(l.unheard, func(u unheard) bool { return now-u.at >= d.cfg.UnheardEvery })
	if len(l.unheard) >= 8 {
		return // more speakers than candidates: something forges them
	}
	l.unheard = append(l.unheard, unheard{card: t.card, at: now})
	d.tell(Dead{Lease: l.name, Addrs: []netip.Addr{t.place.Addr}, Since: since, Unheard: true})
}

// watchMute has a silent address of a living card asked again in a while, out of turn.
func (d *Detector) watchMute(st *stream, t *target) {
	if slices.Contains(st.mute, t) || len(st.mute) >= d.cfg.Sample {
		return
	}
	if len(st.mute) == 0 {
		st.muteAt = t.again
	}
	st.mute = append(st.mute, t)
}
