// SPDX-License-Identifier: Apache-2.0

package mld

// Heard takes a query.
func (l *Listener) Heard(now Time, q Query) {
	l.expire(now)
	if q.Version == 1 {
		l.older(now, q)
	} else {
		l.adopt(q)
	}
	switch {
	case !l.card.ready() || len(l.members) == 0: // nothing to say
	case q.General():
		l.askedAll(now, q.Delay)
	default:
		if g := l.groups[q.Group]; g != nil && g.member {
			l.askedOne(now, g, q.Delay)
		}
	}
}

// older takes note of a querier of version 1 (RFC 3810 sections 8.2.1 and 9.12), who does not say
// how often it asks.
func (l *Listener) older(now Time, q Query) {
	if l.v1Until == Never {
		l.cancel()
	}
	response := q.Delay
	if response == 0 {
		response = QueryResponseInterval
	}
	l.v1Until = now + Time(l.robustness)*l.interval + response
}

// adopt takes over what the querier counts with (RFC 3810 sections 5.1.8 and 5.1.9).
func (l *Listener) adopt(q Query) {
	l.robustness, l.interval = max(Robustness, q.Robustness), q.Interval
	if l.interval == 0 {
		l.interval = QueryInterval
	}
}

// askedAll has all members answer at random within the delay, together in version 2 (RFC 3810
// section 6.2), one by one in version 1 (RFC 2710 section 4).
func (l *Listener) askedAll(now, delay Time) {
	if l.Version() == 1 {
		each := delay / Time(len(l.members))
		if len(l.answers) > 0 { // they hurry, and then it is everybody's turn again
			l.spread = min(l.spread, each)
			l.calm = min(l.calm, now+l.spread)
		}
		if at := now + l.random.below(each); at < l.general {
			l.general, l.window = at, delay
		}
		return
	}
	l.general = min(l.general, now+l.random.below(delay))
}

// askedOne has one member answer at random within the delay.
func (l *Listener) askedOne(now Time, g *group, delay Time) {
	at := now + l.random.below(delay)
	if l.Version() == 1 {
		if g.at == Never || now+delay < g.at {
			l.arm(g, at)
		}
		return
	}
	if l.general > at && g.at > at {
		l.arm(g, at)
	}
}
