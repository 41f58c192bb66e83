// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"slices"
	"time"
)

// suspicion follows a question without answer: some addresses of the stream are asked
// again, and so are the witnesses of the path.
type suspicion struct {
	since   Time // when the question was sent
	repeats Time // when the first repeat was: from then on witnesses count
	first   question
	sample  []suspect
	quorum  []*witness // those that could be expected to answer
	rounds  int
	round   int
	wait    time.Duration
	next    Time // of the next round, or of the verdict

	direct  bool // the card itself was heard, about whatever address
	vouched bool // a peer hears it
	hungry  bool // it repeats one that got too few broadcasts: what got one makes room
	counted bool // the question is in the stream's losses
}

// suspect is an address of the sample.
type suspect struct {
	target   *target
	answered bool
	cast     bool // asked for by broadcast lately, or well known to be dead
}

// suspect begins a suspicion.
func (d *Detector) suspect(now Time, st *stream, q question) {
	s := &suspicion{
		since: q.sent, repeats: now, first: q, rounds: d.cfg.Repeats,
		wait:   st.wait(d.cfg.MinTimeout),
		quorum: st.key.path.quorum(now-d.cfg.WitnessFor, st.key.card),
	}
	switch lost := d.lost(now, st); {
	case lost > d.cfg.MuchLoss:
		s.rounds = d.cfg.MuchRepeats
	case lost > d.cfg.SomeLoss:
		s.rounds = d.cfg.LossyRepeats
	}
	s.sample = d.sample(now, st, q.target)
	s.hungry, st.hungry = st.hungry, false
	st.suspicion = s
	d.round(now, st)
}

// sample picks the addresses to ask: the one that was silent; then those that answered
// most lately, which are the last ones of the rotation, for they tell best whether the
// card lives; then those known to be dead; then those that might be told unheard.
func (d *Detector) sample(now Time, st *stream, first *target) []suspect {
	out := make([]suspect, 1, d.cfg.Sample)
	out[0].target = first
	for _, fits := range []func(*target) bool{
		func(t *target) bool { return t.known() && !t.dead },
		func(t *target) bool { return t.known() && t.dead },
		func(t *target) bool { return d.unheardable(now, st, t) },
	} {
		n := len(st.targets)
		for i := 1; i <= n && len(out) < d.cfg.Sample; i++ {
			t := st.targets[((st.cursor-i)%n+n)%n]
			if t != first && fits(t) {
				out = append(out, suspect{target: t})
			}
		}
	}
	return out
}

// round asks what is still silent once more, or gives the verdict after the last time.
func (d *Detector) round(now Time, st *stream) {
	s := st.suspicion
	if s.direct {
		// It lives, and is perhaps only slow: what it did not come to yet is not dead.
		s.rounds = max(s.rounds, d.cfg.DirectRepeats)
	}
	if s.round >= s.rounds {
		d.judge(now, st)
		return
	}
	s.round++
	// Some networks drop the one form, some answer the other on a speaker's behalf: the
	// two take turns, and the broadcast has the other one.
	zero := s.round%2 == 1
	flags := d.flags(now, st)
	for i := range s.sample {
		x := &s.sample[i]
		if x.answered {
			continue
		}
		d.ask(now, x.target, st.key.card, st.key.card, zero, flags)
		if s.castNow(i, d.cfg.Sample) && d.mayCast(now, i, x.target, s.hungry) {
			d.ask(now, x.target, broadcast, st.key.card, !zero, flags)
			x.target.cast = now
		}
		x.cast = x.target.dead || now-x.target.cast <= d.cfg.Again
	}
	d.callWitnesses(now, st.key, s.repeats)
	s.next = now + s.wait
}

// redo asks the present round's questions once more, as it did not keep its time: the rounds before
// it, which did, still count. What was heard of witnesses and broadcasts may be out of date.
func (s *suspicion) redo(now Time) {
	s.round, s.repeats, s.next = s.round-1, now, now
	for _, x := range s.sample {
		x.target.cast = ago // who vouched meanwhile was perhaps not heard
	}
}

// castNow is whether it is the i-th suspect's turn to be asked for by broadcast: twice
// each, the first at once, the others if they do not answer either. While the card is
// silent altogether half of them will do, as one vouch is enough.
func (s *suspicion) castNow(i, sample int) bool {
	begin := min(i, 1) + 1
	return s.round >= begin && (s.direct && s.round <= 3 || i < (sample+1)/2 && s.round <= begin+1)
}

// mayCast spends a broadcast. What is known to be dead leaves half of them to fresh
// suspicions, and in the end the first of the sample stands for all.
func (d *Detector) mayCast(now Time, i int, t *target, hungry bool) bool {
	if hungry && now-t.cast <= d.cfg.Again {
		return false
	}
	if t.dead {
		if i > 0 && t.quiet >= d.cfg.QuietAfter {
			return false
		}
		if d.casts.full-now > time.Second/2 {
			return false
		}
	}
	return now-t.cast >= d.cfg.BroadcastGap && d.casts.take(now, d.cfg.Broadcasts)
}

// answered notes that somebody spoke for an address.
func (s *suspicion) answered(t *target, sound Sound) {
	for i := range s.sample {
		if s.sample[i].target == t {
			s.sample[i].answered = true
		}
	}
	if t == s.first.target && sound.Kind == Claim {
		s.counted = true // neither lost nor answered
	}
	if t == s.first.target && sound.Kind == Answer && sound.Nonce == s.first.nonce && !s.counted {
		s.counted = true
		t.stream.noteLoss(sound.At, false) // late, not lost
	}
}

// settle ends a suspicion when nothing of its sample is silent any more.
func (d *Detector) settle(st *stream) {
	s := st.suspicion
	if slices.ContainsFunc(s.sample, func(x suspect) bool { return !x.answered }) {
		return
	}
	d.endSuspicion(d.now, st)
	if len(s.sample) == 0 {
		// All went over to other voices: that says nothing of the rest.
		st.next = min(st.next, d.now)
	}
}

// endSuspicion ends a suspicion. A question that only a repeat got an answer to was lost.
func (d *Detector) endSuspicion(now Time, st *stream) {
	s := st.suspicion
	st.suspicion = nil
	st.close(now)
	for _, x := range s.sample {
		// Where others hear the card and this node does not, the path is broken, not lossy.
		if x.target == s.first.target && x.answered && !s.counted && (s.direct || !s.vouched) {
			st.noteLoss(now, true)
		}
	}
	if !s.direct && len(s.sample) > 0 {
		st.again = max(s.since+d.cfg.Again, now)
	}
}
