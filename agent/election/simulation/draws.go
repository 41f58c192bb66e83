// SPDX-License-Identifier: Apache-2.0

package simulation

import "time"

func (d *drawer) want(figure, than, value string) {
	d.Wants = append(d.Wants, Want{figure, than, value})
}

func (d *drawer) faulty() {
	for range 1 + d.IntN(6) {
		d.wild(d.bunch())
	}
}

// about draws a time around that of a takeover by heartbeat.
func (d *drawer) about() time.Duration { return d.span(5500*time.Millisecond, 9500*time.Millisecond) }

// edge: a fault of the speaker's returns just when it is being replaced, while no claim and
// no answer can correct what the Leases got wrong: it has no wire.
func (d *drawer) edge() {
	for range 1 + d.IntN(2) {
		d.add(d.span(10*time.Second, 20*time.Second), "nowire", "speaker", d.eth())
		if d.chance(50) {
			d.addAt(d.t+d.span(0, 8*time.Second), d.span(time.Millisecond, 4*time.Second), "slow")
		}
		d.t += time.Millisecond
		switch d.IntN(5) {
		case 0:
			d.add(d.about(), "noapi", "speaker")
		case 1:
			d.add(12*time.Second, "hung", "speaker")
			d.addAt(d.t+d.span(2*time.Second, 5*time.Second), d.span(time.Millisecond, 3*time.Second), "pause", "speaker")
			d.addAt(d.t+d.span(5*time.Second, 7*time.Second), d.span(time.Millisecond, 3*time.Second), "pause", "speaker")
		case 2:
			d.add(d.about(), "crash", "speaker")
		case 3:
			d.add(8*time.Second, "hung", "speaker")
			d.add(d.span(0, 4*time.Second), "term", "first")
			d.addAt(d.t+d.span(0, 500*time.Millisecond), 10*time.Second, "term", "speaker")
		case 4:
			d.add(d.about(), one(d, "stun", "hang", "stall"), "speaker")
		}
		d.t = d.last + 3*time.Second
	}
}

// single: one fault, and the VIP is back within the bound.
func (d *drawer) single() {
	d.t += d.span(0, 3*time.Second)
	long := d.span(15*time.Second, 25*time.Second)
	switch d.IntN(9) {
	case 0:
		d.add(one(d, 0, long), "crash", "speaker")
	case 1:
		d.add(one(d, 0, long), "kill", "speaker")
	case 2:
		d.add(long, "carrier", "speaker", d.eth())
	case 3:
		d.add(long, "nowire", "speaker", d.eth())
	case 4:
		d.add(d.span(500*time.Millisecond, 20*time.Second), "pause", "speaker")
	case 5:
		d.add(long, "hang", "speaker")
	case 6:
		d.add(d.span(500*time.Millisecond, 20*time.Second), "stun", "speaker")
	case 7:
		d.add(long, "filter", "speaker", d.eth())
	case 8:
		d.add(long, "split", "speaker")
	}
	d.want("dark", "<=", "0.600")
	d.want("moves", "<=", "1")
}

func (d *drawer) planned() {
	for range 1 + d.IntN(4) {
		l := d.span(100*time.Millisecond, 10*time.Second)
		switch d.IntN(5) {
		case 0:
			d.add(l, "term", d.node())
		case 1:
			d.add(l, "exclude", d.node())
		case 2:
			d.add(l, "move", d.node())
		case 3:
			d.add(l, "without", d.node())
		case 4:
			d.add(l, "reverse")
		}
		d.t = d.last + 15*time.Second
	}
	d.want("dark", "<=", "0.002")
}

// calm: nothing that is a reason to move.
func (d *drawer) calm() {
	d.Leases = d.Leases[:1] // the first one's speaker is spared
	paired, paused := 0, 0
	for range d.IntN(5) {
		l := d.bunch()
		n := d.IntN(12)
		switch n {
		case 2, 6, 11:
			paired++
		case 0, 1:
			paused++
		}
		if paired > 1 || paused > 1 { // two broken paths are two faults, and pauses in a row a long one
			continue
		}
		switch n {
		case 0:
			d.add(l, "stutter", d.node())
		case 1:
			d.add(d.span(0, 99*time.Millisecond), "pause", d.node())
		case 2: // somebody has to be there to vouch, and to be heard
			d.add(l, "pair", "speaker", one(d, "first", "second"))
			d.Nodes, d.Loss = max(d.Nodes, 3), 0
		case 3:
			d.add(l, "slow")
		case 4:
			d.add(l, "noapi", d.node())
		case 5:
			d.add(l, one(d, "down", "refusing"))
		case 6:
			d.add(l, "blind")
		case 7:
			d.add(l, one(d, "stall", "stale"), d.node())
		case 8:
			d.add(l, "reverse")
		case 9:
			d.add(l, one(d, "hung", "answerless", "refused"), d.node())
		case 10:
			d.add(l, one(d, "doubled", "gateless"), d.eth())
		case 11:
			d.add(l, "nobroadcast", "first", d.eth())
		}
	}
	d.want("moves", "=", "0")
	d.want("dark", "<=", "0.200")
}

func (d *drawer) apiAway() {
	d.add(d.span(25*time.Second, 45*time.Second), one(d, "down", "down", "refusing"))
	d.t += d.span(0, 12*time.Second)
	l := d.span(5*time.Second, 15*time.Second)
	switch d.IntN(6) {
	case 0:
		d.want("moves", "=", "0")
		d.want("dark", "<=", "0.010")
		return
	case 1:
		d.add(l, "crash", "speaker")
		d.want("moves", "<=", "2") // two may claim at the same moment
	case 2:
		d.add(l, "pause", "speaker")
		d.want("moves", "<=", "1")
	case 3:
		d.Leases = d.Leases[:1]
		d.add(d.span(100*time.Millisecond, time.Second), "kill", "first")
		d.want("moves", "=", "0")
	case 4:
		d.add(l, "term", "speaker")
		d.want("moves", "<=", "1")
	case 5:
		d.add(l, "kill", "speaker")
		d.want("moves", "<=", "1")
	}
	d.want("dark", "<=", "1.000")
}

// fabric: the wire does not tell; heartbeats do.
func (d *drawer) fabric() {
	d.t = 3 * time.Second
	long := 60 * time.Second
	switch d.IntN(5) {
	case 0:
		d.add(long, "suppress", d.eth())
	case 1:
		d.add(long, "bare", d.eth())
	case 2:
		d.add(long, "isolated", d.eth())
	case 3:
		d.add(long, "proxy", d.eth())
	case 4:
		d.add(long, "loss", d.eth(), "10")
	}
	d.t = 20*time.Second + d.span(0, 5*time.Second)
	l := d.span(5*time.Second, 15*time.Second)
	switch d.IntN(6) {
	case 0:
		d.add(l, "crash", "speaker")
	case 1:
		d.add(l, "pause", "speaker")
	case 2:
		d.add(l, "noapi", "speaker")
	case 3:
		d.add(l, "term", "speaker")
	case 4:
		d.add(l, "move", "first")
	case 5:
		d.add(l, "carrier", "speaker", d.eth())
	}
	d.want("dark", "<=", "16.000")
}

func (d *drawer) dualLAN() {
	for range 1 + d.IntN(3) {
		l := d.bunch()
		switch d.IntN(4) {
		case 0:
			d.add(l, "carrier", d.node(), d.eth())
		case 1:
			d.add(l, "nowire", d.node(), d.eth())
		case 2:
			d.add(l, "pair", "speaker", "first", d.eth())
		case 3:
			d.wild(l)
		}
	}
}

// upgrade: successors take over on their node; to the segment nothing happens.
func (d *drawer) upgrade() {
	d.add(0, "upgrade", "all")
	d.last = d.t + time.Duration(d.Nodes)*4*time.Second + 12*time.Second
	d.Faults[0].For = d.last - d.t
	if d.chance(30) {
		d.t += d.span(0, 8*time.Second)
		d.add(d.span(time.Second, 4*time.Second), "slow")
	}
	d.want("moves", "=", "0")
	d.want("dark", "<=", "0.020")
}
