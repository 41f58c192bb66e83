// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"net/netip"
	"time"
)

// Detector follows all Leases of one node. One goroutine owns it; New makes it.
type Detector struct {
	cfg    Config
	now    Time
	leases map[string]*lease

	paths     map[Path]*path
	pathOrder []*path

	// The streams, and the same in the order in which they came up: what is done for all
	// is done in that order.
	streams     map[streamKey]*stream
	streamOrder []*stream
	ghosts      map[streamKey]*ghost
	ghostOrder  []*ghost

	made      uint32 // streams and witnesses so far: spreads them over their intervals
	asked     [2048]asked
	last      Time // that a nonce says
	idleFree  Time // when all idle questions so far are paid for, one per IdleGap
	casts     budget
	vouches   []vouch
	contacts  []*lease // Speak, not yet contacted in their epoch
	verdict   uint64   // numbers the verdicts
	wake      Time
	wakeValid bool
	out       []Output
}

// asked is a question that may still be answered.
type asked struct {
	nonce uint32
	card  MAC
	sent  Time
}

// New makes a detector that follows nothing yet.
func New(cfg Config) *Detector {
	return &Detector{
		cfg:     cfg,
		last:    ago,
		leases:  map[string]*lease{},
		paths:   map[Path]*path{},
		streams: map[streamKey]*stream{},
		ghosts:  map[streamKey]*ghost{},
	}
}

// Take gives what is to be done and to be known since the last Take, in order.
func (d *Detector) Take() []Output {
	out := d.out
	d.out = nil
	return out
}

func (d *Detector) tell(o Output) { d.out = append(d.out, o) }

// Wake tells when Tick is wanted at the latest, as of the last call. It may move with
// every call, either way.
func (d *Detector) Wake() Time {
	if d.wakeValid {
		return d.wake
	}
	wake := Never
	for _, st := range d.streamOrder {
		wake = min(wake, st.due(), st.silentAt(), st.casting.due())
	}
	for _, g := range d.ghostOrder {
		wake = min(wake, g.next)
	}
	for _, p := range d.pathOrder {
		wake = min(wake, p.due)
	}
	d.wake, d.wakeValid = wake, true
	return wake
}

// Tick does what has become due. Hand over what was heard first: a frame that waits in a
// queue is no silence.
func (d *Detector) Tick(now Time) {
	d.begin(now)
	for i := 0; i < len(d.streamOrder); i++ {
		st := d.streamOrder[i]
		if st.silentAt() <= now {
			d.audible(st, false)
		}
		d.step(now, st)
		d.stepCast(now, st)
	}
	for i := 0; i < len(d.ghostOrder); {
		if g := d.ghostOrder[i]; d.stepGhost(now, g) {
			i++
		}
	}
	for _, p := range d.pathOrder {
		d.askWitnesses(now, p)
	}
}

// begin notes the time of a call that changes something. If it comes too late, this node
// was stalled: what seemed silent meanwhile may not have been, so it is asked anew.
func (d *Detector) begin(now Time) {
	now = max(now, d.now)
	if due := d.Wake(); now > due && now-due > d.cfg.Late {
		d.askAgain(now)
	}
	d.now, d.wakeValid = now, false
}

// Missed tells that frames were lost on this node's way to it: what is open is asked once more, as
// after a call that came too late.
func (d *Detector) Missed(now Time) {
	d.begin(now)
	d.askAgain(d.now)
}

// Heard takes note of a frame.
func (d *Detector) Heard(now Time, s Sound) {
	d.begin(now)
	s.At = min(s.At, now)
	s.Addr = plain(s.Addr)
	p := d.paths[Path{Interface: s.Interface, V6: s.Addr.Is6()}]
	if p == nil {
		return
	}
	if s.Kind == WitnessAnswer {
		p.witnessed(s)
		return
	}
	known := p.targets[s.Addr]
	if len(known) == 0 {
		return
	}
	if s.Kind == Question {
		d.contact(p, s.At)
	}
	for _, t := range known {
		switch t.lease.view.Role {
		case Stand:
			d.heardStanding(now, t, s)
		case Speak:
			d.heardSpeaking(now, t, s)
		case Away:
		}
	}
}

// ask sends a question; it gives its nonce.
func (d *Detector) ask(now Time, t *target, to, answerer MAC, zero bool, flags uint8) uint32 {
	d.last = max(d.last+time.Microsecond, now)
	nonce := Nonce(d.last)
	d.asked[nonce%uint32(len(d.asked))] = asked{nonce: nonce, card: answerer, sent: now}
	d.tell(Ask{
		Lease: t.lease.name, Interface: t.path.Interface, Addr: t.place.Addr,
		To: to, Zero: zero && !t.path.V6, Nonce: nonce, Flags: flags,
	})
	return nonce
}

// roundTrip gives how long the answer to a question took, once.
func (d *Detector) roundTrip(nonce uint32, from MAC, at Time) (rtt Time, ok bool) {
	q := &d.asked[nonce%uint32(len(d.asked))]
	if q.nonce != nonce || q.card != from || at < q.sent {
		return 0, false
	}
	rtt = at - q.sent
	*q = asked{}
	return rtt, true
}

// path is what is known of an interface and a family. It lasts as long as there are
// targets or witnesses on it.
type path struct {
	Path
	targets map[netip.Addr][]*target

	given     []Witness
	witnesses []*witness
	due       Time // of the next regular question to a witness

	contact             Time // the last question of a peer
	asked, hears, bared Time // the last such question about an address this node speaks for
	deafened            Time // the last of them that says that this card is deaf
	deafener            MAC  // who said it

	castHeard Time   // the last answer to a broadcast question of this node
	loss      losses // of all questions on it
}

func (d *Detector) path(key Path) *path {
	p := d.paths[key]
	if p == nil {
		p = &path{
			Path: key, targets: map[netip.Addr][]*target{}, due: Never,
			contact: ago, asked: ago, hears: ago, bared: ago, deafened: ago, castHeard: ago,
		}
		d.paths[key] = p
		d.pathOrder = append(d.pathOrder, p)
	}
	return p
}

func (d *Detector) dropPath(p *path) {
	if len(p.targets) > 0 || len(p.witnesses) > 0 {
		return
	}
	delete(d.paths, p.Path)
	d.pathOrder = without(d.pathOrder, p)
}
