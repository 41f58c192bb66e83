// SPDX-License-Identifier: Apache-2.0

package detector

import "slices"

// vouch is a question on behalf of a peer that asks in vain, perhaps.
type vouch struct {
	target *target
	asker  MAC
	nonce  uint32 // of the peer's question
	sent   Time
	until  Time // an answer counts
	done   bool
}

// join asks the speaker because a peer asks all. Whoever hears the peer's broadcast
// finds out by that whether the speaker is dead or only the peer's path to it.
func (d *Detector) join(now Time, t *target, s Sound) {
	d.vouches = slices.DeleteFunc(d.vouches, func(v vouch) bool {
		return now > v.until && now-v.sent >= d.cfg.VouchGap
	})
	same := func(v vouch) bool {
		return v.target == t && v.asker == s.From && now-v.sent < d.cfg.VouchGap
	}
	if t.card == (MAC{}) || len(d.vouches) >= d.cfg.VouchOpen || slices.ContainsFunc(d.vouches, same) {
		return
	}
	wait, flags := d.cfg.MinTimeout, uint8(0)
	if st := d.streams[streamKey{card: t.card, path: t.path}]; st != nil {
		wait, flags = st.wait(wait), d.flags(now, st)
	}
	d.ask(now, t, t.card, t.card, false, flags)
	d.vouches = append(d.vouches, vouch{target: t, asker: s.From, nonce: s.Nonce, sent: now, until: now + 2*wait})
}

// vouchFor tells the askers that an address was answered.
func (d *Detector) vouchFor(t *target, s Sound) {
	for i := range d.vouches {
		v := &d.vouches[i]
		if v.target != t || v.done || s.At < v.sent || s.At > v.until || v.asker == s.From {
			continue
		}
		v.done = true
		d.tell(Vouch{
			Lease: t.lease.name, Interface: t.path.Interface, Addr: t.place.Addr,
			To: v.asker, Transitions: s.Transitions, Nonce: v.nonce,
		})
	}
}
