// SPDX-License-Identifier: Apache-2.0

package detector

// A card may answer what is asked of it alone, and hear nothing of what is asked of all:
// storm control, a multicast filter that overflowed, a snooping switch without a querier. Its
// standbys would be content, and who has no entry in his cache yet would find nobody. So
// each stream is asked by broadcast too, now and then.

// casting follows the broadcast questions of a stream.
type casting struct {
	next   Time    // when the next is due, if none is open
	target *target // whom the open one is about; nil: none is open
	nonce  uint32
	sent   Time
	until  Time // an answer is waited for
	tries  int  // sent about this target, without answer
	misses int  // targets in a row that nobody answered for
	since  Time // when the first of them was asked
	deaf   bool
}

// due is when stepCast has something to do.
func (c *casting) due() Time {
	if c.target != nil {
		return c.until
	}
	return c.next
}

// close ends an open question. The next may be due already, and is not late.
func (c *casting) close(now Time) {
	c.target = nil
	c.next = max(c.next, now)
}

// castEvery is the interval of a stream's broadcast questions: so long that this node sends no
// more than one per CastGap.
func (d *Detector) castEvery() Time {
	return max(d.cfg.CastEvery, Time(len(d.streamOrder))*d.cfg.CastGap)
}

// stepCast does what is due.
func (d *Detector) stepCast(now Time, st *stream) {
	c := &st.casting
	switch {
	case c.due() > now:
	case c.target == nil:
		t := st.castable()
		if t == nil || st.suspicion != nil {
			c.next = now + d.castEvery()
			return
		}
		c.target, c.tries = t, 0
		d.cast(now, st)
	case c.tries < d.cfg.CastTries:
		d.cast(now, st)
	default:
		if c.misses++; c.misses == 1 {
			c.since = c.sent
		}
		// That nobody at all answers what this node asks of all is no card's own fault.
		c.deaf = c.misses >= d.cfg.CastMisses && st.key.path.castHeard >= c.since
		c.target, c.next = nil, now+d.castEvery()
	}
}

// castable gives the address to be asked for next: one that the card answers for.
func (st *stream) castable() *target {
	for i := range st.targets {
		if t := st.targets[(st.cursor+i)%len(st.targets)]; t.known() && !t.dead {
			return t
		}
	}
	return nil
}

func (d *Detector) cast(now Time, st *stream) {
	c := &st.casting
	c.until = now + st.wait(d.cfg.CastWait)
	if !d.casts.take(now, d.cfg.Broadcasts) {
		return
	}
	c.tries++
	c.sent = now
	c.nonce = d.ask(now, c.target, broadcast, st.key.card, c.tries%2 == 0, d.flags(now, st))
	if c.misses > 0 {
		d.castWitness(now, st.key)
	}
}

// castWitness asks somebody else by broadcast, to know whether such questions go out at all.
func (d *Detector) castWitness(now Time, suspect streamKey) {
	p := suspect.path
	for _, w := range p.quorum(now-d.cfg.WitnessFor, suspect.card) {
		if now-w.asked >= d.cfg.CastWait && d.casts.take(now, d.cfg.Broadcasts) {
			w.asked, w.cast = now, now
			d.tell(AskWitness{Interface: p.Interface, Addr: w.Addr, To: broadcast})
			return
		}
	}
}

// castAnswered takes note that a broadcast question about an address brought an answer.
func (d *Detector) castAnswered(st *stream, s Sound) {
	c := &st.casting
	switch {
	case c.target == nil || c.target.place.Addr != s.Addr || s.At < c.sent:
	case s.Kind == Answer && s.Nonce != c.nonce:
	default:
		c.target, c.misses, c.deaf = nil, 0, false
		c.next = d.now + d.castEvery()
		st.key.path.castHeard = max(st.key.path.castHeard, s.At)
	}
}
