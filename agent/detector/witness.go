// SPDX-License-Identifier: Apache-2.0

package detector

import "slices"

// witness is somebody who can prove that this node is heard on a path.
type witness struct {
	Witness
	learned  MAC // the card that answered last
	asked    Time
	answered Time
	cast     Time // asked by broadcast, to know whether that goes out
	next     Time // of the regular questions
}

// Witnesses tells who can prove on a path that a silence is not this node's own fault.
// New ones are asked at once. A list equal to the last one changes nothing and costs
// little.
func (d *Detector) Witnesses(now Time, key Path, ws []Witness) {
	p := d.paths[key]
	if p == nil && len(ws) == 0 || p != nil && slices.Equal(p.given, ws) {
		return
	}
	d.begin(now)
	p = d.path(key)
	old := p.witnesses
	p.given, p.witnesses = slices.Clone(ws), nil
	for _, x := range ws {
		x.Addr = plain(x.Addr)
		same := func(w *witness) bool { return w.Addr == x.Addr }
		if x.Addr.Is6() != key.V6 || !x.Addr.IsValid() || slices.ContainsFunc(p.witnesses, same) {
			continue
		}
		if i := slices.IndexFunc(old, same); i >= 0 {
			old[i].Witness = x
			p.witnesses = append(p.witnesses, old[i])
			continue
		}
		w := &witness{Witness: x, asked: ago, answered: ago, cast: ago}
		p.witnesses = append(p.witnesses, w)
		d.askWitness(now, p, w)
		w.next = now + d.spread(d.cfg.WitnessEvery)
	}
	p.setDue()
	d.dropPath(p)
}

func (p *path) setDue() {
	p.due = Never
	for _, w := range p.witnesses {
		p.due = min(p.due, w.next)
	}
}

// askWitnesses asks those whose turn it is.
func (d *Detector) askWitnesses(now Time, p *path) {
	if p.due > now {
		return
	}
	for _, w := range p.witnesses {
		if w.next <= now {
			d.askWitness(now, p, w)
			w.next = now + d.cfg.WitnessEvery
		}
	}
	p.setDue()
}

// callWitnesses asks all of a path that have not answered since, but for the suspect's
// own card: its silence would be held against this node.
func (d *Detector) callWitnesses(now Time, suspect streamKey, since Time) {
	for _, w := range suspect.path.witnesses {
		if w.answered < since && !w.on(suspect.card) && now-w.asked >= d.cfg.WitnessGap {
			d.askWitness(now, suspect.path, w)
		}
	}
}

// askWitness asks one, by broadcast if its card is not known or did not answer last time.
func (d *Detector) askWitness(now Time, p *path, w *witness) {
	to := w.Card
	if to == (MAC{}) && w.answered >= w.asked {
		to = w.learned
	}
	if to == (MAC{}) {
		if !d.casts.take(now, d.cfg.Broadcasts) {
			return
		}
		to = broadcast
	}
	w.asked, w.cast = now, ago
	d.tell(AskWitness{Interface: p.Interface, Addr: w.Addr, To: to})
}

func (p *path) witnessed(s Sound) {
	for _, w := range p.witnesses {
		if w.Addr == s.Addr {
			w.answered, w.learned = max(w.answered, s.At), s.From
			if s.At >= w.cast && w.cast != ago {
				p.castHeard = max(p.castHeard, s.At)
			}
		}
	}
}

func (w *witness) on(card MAC) bool {
	return w.Card == card || w.Card == MAC{} && w.learned == card
}

// quorum gives the witnesses that answered lately, but for those on a card.
func (p *path) quorum(since Time, card MAC) []*witness {
	var out []*witness
	for _, w := range p.witnesses {
		if w.answered >= since && !w.on(card) {
			out = append(out, w)
		}
	}
	return out
}

// proves is whether the path was sound during a suspicion: a gateway answered its
// repeats; or no gateway could be expected to, and more than half of the witnesses that
// could did.
func (p *path) proves(s *suspicion) bool {
	for _, w := range p.witnesses {
		if w.Gateway && w.answered >= s.repeats {
			return true
		}
	}
	again := 0
	for _, w := range s.quorum {
		if w.Gateway {
			return false
		}
		if w.answered >= s.repeats {
			again++
		}
	}
	return again*2 > len(s.quorum)
}
