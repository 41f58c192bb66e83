// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"slices"
	"time"
)

type streamKey struct {
	card MAC
	path *path
}

// stream asks one card on one path, about each of its addresses in turn. One question is
// open at a time.
type stream struct {
	key     streamKey
	targets []*target
	cursor  int

	next  Time    // when the next idle question goes out, if none is open
	retry *target // whom it is about; nil: the rotation's next
	open  question

	suspicion *suspicion
	again     Time // no new suspicion before, while the card is silent
	hungry    bool // the last one got too few broadcasts
	casting   casting
	mute      []*target
	muteAt    Time // when the first of them is asked again

	rtt     roundTrips
	timeout time.Duration // as of the round trips; 0: none yet
	loss    losses
	heard   Time // the last marked answer of the card
	until   Time // when that is too long ago for it to be audible
	bare    Time // the last one without a mark
	audible bool
}

// question is an idle question without answer; target is nil if there is none.
type question struct {
	target *target
	nonce  uint32
	sent   Time
	until  Time // an answer is waited for
}

// wait is how long an answer is waited for.
func (st *stream) wait(least time.Duration) time.Duration { return max(st.timeout, least) }

// close ends an open question. What waited behind it is due now, and not late.
func (st *stream) close(now Time) {
	st.open = question{}
	st.next = max(st.next, now)
}

// due is when step has something to do.
func (st *stream) due() Time {
	switch {
	case st.suspicion != nil:
		return st.suspicion.next
	case st.open.target != nil:
		return st.open.until
	default:
		return st.next
	}
}

// idle is the interval of each stream's questions: so long that all together keep to
// one per IdleGap.
func (d *Detector) idle() time.Duration {
	return max(d.cfg.Idle, time.Duration(len(d.streamOrder))*d.cfg.IdleGap)
}

// spread gives a moment within an interval; each call gives another, far from the last
// ones: multiples of the golden ratio fill an interval evenly.
func (d *Detector) spread(interval time.Duration) time.Duration {
	d.made++
	return d.part(interval)
}

// part gives the moment within an interval that the last call of spread chose.
func (d *Detector) part(interval time.Duration) time.Duration {
	const golden = 2654435769 // 2^32 / 1.618
	part := int64(d.made * golden >> 16)
	return time.Duration(int64(interval) * part >> 16)
}

func (d *Detector) attach(now Time, t *target, key streamKey) {
	st := d.streams[key]
	if st == nil {
		st = &stream{key: key, again: ago, heard: ago, bare: ago}
		d.streams[key] = st
		d.streamOrder = append(d.streamOrder, st)
		st.next = now + d.spread(d.idle())
		st.casting.next = now + d.castEvery() + d.part(d.castEvery())
	}
	t.stream, t.slot = st, len(st.targets)
	st.targets = append(st.targets, t)
}

func (d *Detector) leaveStream(t *target) {
	st := t.stream
	st.targets = remove(st.targets, t)
	t.stream = nil
	if len(st.targets) == 0 {
		delete(d.streams, st.key)
		d.streamOrder = without(d.streamOrder, st)
		return
	}
	st.mute = without(st.mute, t)
	if st.retry == t {
		st.retry = nil
	}
	if st.casting.target == t {
		st.casting.close(d.now)
	}
	if st.open.target == t {
		st.close(d.now)
	}
	if s := st.suspicion; s != nil {
		s.sample = slices.DeleteFunc(s.sample, func(x suspect) bool { return x.target == t })
		d.settle(st)
	}
}

// step does what is due for a stream. What it does may be followed at once by something
// else, but not for long.
func (d *Detector) step(now Time, st *stream) {
	for range 4 {
		switch {
		case len(st.targets) == 0 || st.due() > now:
			return
		case st.suspicion != nil:
			d.round(now, st)
		case st.open.target != nil:
			d.missed(now, st)
		default:
			d.askIdle(now, st)
		}
	}
}

func (d *Detector) askIdle(now Time, st *stream) {
	// Streams came up in bursts, and stalls bunch them: what is more than one per IdleGap
	// waits, but for what a late call has left undone.
	if wait := d.idleFree - d.cfg.Late; now < wait {
		st.next = wait
		return
	}
	d.idleFree = max(d.idleFree, now) + d.cfg.IdleGap
	t := st.retry
	st.retry = nil
	switch {
	case t != nil:
	case len(st.mute) > 0 && st.muteAt <= now:
		t = st.mute[0]
		st.muteAt = now + d.cfg.Again
		st.mute = append(st.mute[:copy(st.mute, st.mute[1:])], t)
	default:
		st.cursor %= len(st.targets)
		t = st.targets[st.cursor]
		st.cursor++
	}
	nonce := d.ask(now, t, st.key.card, st.key.card, false, d.flags(now, st))
	st.open = question{target: t, nonce: nonce, sent: now, until: now + st.wait(d.cfg.MinTimeout)}
	if st.next += d.idle(); st.next <= now {
		st.next = now + d.idle()
	}
}

// missed is called when a question has stayed open for the time-out.
func (d *Detector) missed(now Time, st *stream) {
	q := st.open
	st.open = question{}
	if now >= st.again && now >= q.target.again && d.worth(now, st, q.target) {
		d.suspect(now, st, q)
	}
}

// worth is whether a suspicion about a target can come to something: a verdict on it, or
// the news that a card is silent which answered a moment ago.
func (d *Detector) worth(now Time, st *stream, t *target) bool {
	if t.known() || d.unheardable(now, st, t) {
		return true
	}
	past := now - st.heard
	return past > 3*d.idle() && past < 10*d.audibleFor()
}

// askAgain makes streams that have a question or a round of repeats open ask it once more.
func (d *Detector) askAgain(now Time) {
	for _, st := range d.streamOrder {
		st.casting.close(now)
		st.casting.misses = 0
		if st.suspicion != nil {
			st.suspicion.redo(now)
		} else if t := st.open.target; t != nil {
			st.open, st.retry, st.next = question{}, t, now
		}
	}
}

// heardStanding takes note of what was said about an address that another node speaks for.
func (d *Detector) heardStanding(now Time, t *target, s Sound) {
	own := s.From == t.card
	valid := s.SameLease && s.Transitions >= t.lease.view.Transitions
	switch s.Kind {
	case Answer, Claim:
		if s.Kind == Answer && !Fresh(s.At, s.Nonce) {
			return // it may have been recorded, and its sender be dead
		}
		d.cardAlive(t.path, s)
		if s.Kind == Claim && own && s.SameLease && s.Transitions <= t.lease.view.Transitions {
			return // and so may this: who lives answers
		}
		if !own && !s.SameLease {
			// Spoken for in another Lease: this node does not know the present one, and
			// nobody is to be replaced.
			d.alive(now, t, s)
			return
		}
		if !own && !valid {
			return
		}
		if !own {
			d.followVoice(now, t, s.From)
			d.cardAlive(t.path, s)
		}
		if s.Kind == Answer && valid {
			t.heard = max(t.heard, s.At)
			d.vouchFor(t, s)
		}
		d.alive(now, t, s)
	case Question:
		// A speaker that was interrupted asks before it speaks again.
		if own && s.SameLease && s.Standing > 0 {
			if st := t.stream; st != nil && st.suspicion != nil && s.At >= st.suspicion.since {
				st.suspicion.direct = true
			}
			d.alive(now, t, s)
		}
		if !own && !s.Unicast {
			d.join(now, t, s)
		}
	case Vouching:
		if valid && Fresh(s.At, s.Nonce) {
			if st := t.stream; st != nil && st.suspicion != nil && s.At >= st.suspicion.since {
				st.suspicion.vouched = true
			}
			d.alive(now, t, s)
		}
	case BareAnswer:
		if st := t.stream; own && st != nil {
			st.bare = max(st.bare, s.At)
			d.castAnswered(st, s)
		}
	default: // a leaving speaker speaks on until it is replaced
	}
}

// followVoice makes the card that was heard the one to be asked, until the view changes.
func (d *Detector) followVoice(now Time, t *target, card MAC) {
	t.card, t.heard = card, ago
	t.forget()
	d.assign(now, t)
	d.tellAudible(t.lease)
}

// cardAlive takes note of an answer or claim of a stream's card, whatever it is about.
func (d *Detector) cardAlive(p *path, s Sound) {
	st := d.streams[streamKey{card: s.From, path: p}]
	if st == nil {
		return
	}
	if st.suspicion != nil && s.At >= st.suspicion.since {
		st.suspicion.direct = true
	}
	st.again = ago
	if s.Kind != Answer {
		return
	}
	d.castAnswered(st, s)
	if rtt, ok := d.roundTrip(s.Nonce, s.From, s.At); ok {
		st.rtt.add(s.At, rtt, d.cfg.RTTHalf)
		st.timeout = min(time.Duration(d.cfg.Spread)*st.rtt.high(), d.cfg.MaxTimeout)
	}
	if s.At > st.heard {
		st.heard, st.until = s.At, s.At+d.audibleFor()
		if !st.audible && st.until > d.now {
			d.audible(st, true)
		}
	}
}

// alive takes note of a sign that somebody speaks for an address.
func (d *Detector) alive(now Time, t *target, s Sound) {
	t.dead, t.quiet, t.again, t.cast = false, 0, ago, ago
	st := t.stream
	if st == nil {
		return
	}
	st.mute = without(st.mute, t)
	if st.open.target == t && s.At >= st.open.sent {
		st.close(now)
		st.noteLoss(now, false)
	}
	if sus := st.suspicion; sus != nil && s.At >= sus.since {
		sus.answered(t, s)
		d.settle(st)
	}
}

// noteLoss counts a question, of the stream and of its path.
func (st *stream) noteLoss(now Time, lost bool) {
	st.loss.add(now, lost)
	st.key.path.loss.add(now, lost)
}

// lost is how many of the last minute's questions were lost, in thousandths. A card that was not asked
// often yet is taken to be no better than its path.
func (d *Detector) lost(now Time, st *stream) int {
	own, known := st.loss.rate(now, d.cfg.LossOf)
	if known {
		return own
	}
	all, _ := st.key.path.loss.rate(now, d.cfg.LossOf)
	return max(own, all)
}

// flags says of a question whether the card that it asks is heard.
func (d *Detector) flags(now Time, st *stream) (flags uint8) {
	switch from := now - d.audibleFor(); {
	case st.heard >= from:
		flags = FlagHears
	case st.bare >= from:
		flags = FlagBare
	}
	if st.casting.deaf {
		flags |= FlagDeaf
	}
	return flags
}

// audibleFor is for how long one answer makes a card audible: at least as long as the
// next two questions need.
func (d *Detector) audibleFor() time.Duration {
	return max(d.cfg.AudibleFor, d.idle()*5/2)
}

// silentAt is when a stream that is audible will not be any more.
func (st *stream) silentAt() Time {
	if !st.audible {
		return Never
	}
	return st.until
}

func (d *Detector) audible(st *stream, ok bool) {
	st.audible = ok
	for _, t := range st.targets {
		d.tellAudible(t.lease)
	}
}

// tellAudible tells if a Lease has become audible, or is not any more: on some path at
// least.
func (d *Detector) tellAudible(l *lease) {
	ok := false
	for _, t := range l.targets {
		ok = ok || t.stream != nil && t.stream.audible
	}
	if ok != l.audible {
		l.audible = ok
		d.tell(Audible{Lease: l.name, OK: ok})
	}
}
