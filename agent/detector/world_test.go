// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

const (
	ms  = time.Millisecond
	sec = time.Second

	// With quick answers, a question is waited for so long, and a verdict takes so long from it.
	wait    = 50 * ms
	verdict = 4 * wait
)

// world drives a detector: cards that answer, witnesses, and a clock that jumps.
type world struct {
	t     testing.TB
	d     *Detector
	now   Time
	cards map[MAC]*card
	wits  map[netip.Addr]*card
	queue []arrival
	said  []said
	late  time.Duration // of every Tick
	peers func(Ask)     // the other standbys, who hear broadcasts
}

// card is a node's card as the detector's questions find it.
type card struct {
	delay  time.Duration
	dead   bool // nothing comes back
	deaf   bool // nothing of this node's questions arrives
	filter bool // nothing that goes to all arrives
	bare   bool // its marks are lost on the way
	epoch  int32
	speaks map[netip.Addr]bool
	lose   func() bool
	asked  int
}

type arrival struct {
	at Time
	s  Sound
}

// said is an output and when it came.
type said struct {
	at Time
	o  Output
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, d: New(Defaults()), now: sec, cards: map[MAC]*card{}, wits: map[netip.Addr]*card{}}
	return w
}

func mac(n int) MAC { return MAC{2, 0, 0, 0, byte(n >> 8), byte(n)} }

// addr gives the n-th address of a family.
func addr(n int, v6 bool) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("fd00::%x", n+1))
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
}

func (w *world) card(n int, speaks ...netip.Addr) *card {
	c := &card{delay: ms, epoch: 1, speaks: map[netip.Addr]bool{}}
	for _, a := range speaks {
		c.speaks[a] = true
	}
	w.cards[mac(n)] = c
	return c
}

// gateway puts a gateway on a path and lets it be known for a while.
func (w *world) gateway(p Path) *card {
	return w.witnesses(p, true, 900)[0]
}

func (w *world) witnesses(p Path, gateway bool, ns ...int) []*card {
	var ws []Witness
	var cs []*card
	for _, n := range ns {
		c := &card{delay: ms}
		a := addr(n, p.V6)
		w.wits[a] = c
		ws = append(ws, Witness{Addr: a, Card: mac(n), Gateway: gateway})
		cs = append(cs, c)
	}
	w.d.Witnesses(w.now, p, ws)
	w.take()
	return cs
}

// stand lets this node stand by for addresses, one Lease each, named after it.
func (w *world) stand(speaker int, iface string, addrs ...netip.Addr) {
	for _, a := range addrs {
		w.d.Follow(w.now, a.String(), View{
			Role: Stand, Near: true, Since: w.now, Transitions: 1,
			Places: []Place{{Addr: a, Interface: iface, Speaker: mac(speaker)}},
		})
	}
	w.take()
}

func (w *world) take() {
	for _, o := range w.d.Take() {
		w.said = append(w.said, said{w.now, o})
		switch o := o.(type) {
		case Ask:
			if o.To == broadcast && w.peers != nil {
				w.peers(o)
			}
			for m, c := range w.cards {
				if o.To == m || o.To == broadcast {
					c.hear(w, m, o)
				}
			}
		case AskWitness:
			if c := w.wits[o.Addr]; c != nil && !c.dead && (!c.filter || o.To != broadcast) {
				from := o.To
				if from == broadcast {
					from = mac(900)
				}
				w.hear(c.delay, Sound{Kind: WitnessAnswer, Interface: o.Interface, Addr: o.Addr, From: from, Unicast: true})
			}
		}
	}
}

func (c *card) hear(w *world, m MAC, o Ask) {
	if c.dead || c.deaf || c.filter && o.To == broadcast || !c.speaks[o.Addr] || c.lose != nil && c.lose() {
		return
	}
	c.asked++
	s := Sound{
		Kind: Answer, Interface: o.Interface, Addr: o.Addr, From: m, Unicast: true,
		SameLease: true, Transitions: c.epoch, Standing: 2, Nonce: o.Nonce,
	}
	if c.bare {
		s = Sound{Kind: BareAnswer, Interface: o.Interface, Addr: o.Addr, From: m, Unicast: true}
	}
	w.hear(c.delay, s)
}

// hear brings a sound after a while; what says nothing else is about a question of this moment.
func (w *world) hear(after time.Duration, s Sound) {
	s.At = w.now + after
	if s.Nonce == 0 {
		s.Nonce = Nonce(s.At)
	}
	w.queue = append(w.queue, arrival{s.At, s})
	slices.SortStableFunc(w.queue, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
}

// run lets time pass.
func (w *world) run(span time.Duration) {
	until := w.now + span
	for range 10_000_000 {
		at := w.d.Wake()
		if at != Never {
			at = max(at, w.now) + w.late
		}
		if len(w.queue) > 0 && w.queue[0].at <= at {
			at = w.queue[0].at
			if at > until {
				break
			}
			s := w.queue[0].s
			w.queue = w.queue[1:]
			w.now = max(w.now, at)
			w.d.Heard(w.now, s)
		} else {
			if at > until {
				break
			}
			w.now = at
			w.d.Tick(w.now)
			if w.late == 0 && w.d.Wake() < w.now {
				w.t.Fatalf("at %v: Tick left something that was due at %v", w.now, w.d.Wake())
			}
		}
		w.take()
	}
	w.now = until
}

// of gives the outputs of one type since a moment.
func of[T Output](w *world, since Time) []T {
	var out []T
	for _, s := range w.said {
		if o, ok := s.o.(T); ok && s.at >= since {
			out = append(out, o)
		}
	}
	return out
}

// deadline gives when the first Dead of a Lease came after a moment; 0: none.
func (w *world) dead(lease string, since Time) Time {
	for _, s := range w.said {
		if o, ok := s.o.(Dead); ok && o.Lease == lease && s.at >= since {
			return s.at
		}
	}
	return 0
}

// deadSet gives the addresses that were told dead since a moment.
func (w *world) deadSet(since Time) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, o := range of[Dead](w, since) {
		for _, a := range o.Addrs {
			out[a] = true
		}
	}
	return out
}

func addrs(n int, v6 bool) []netip.Addr {
	var out []netip.Addr
	for i := range n {
		out = append(out, addr(i, v6))
	}
	return out
}

func families(t *testing.T, f func(t *testing.T, v6 bool)) {
	t.Run("IPv4", func(t *testing.T) { f(t, false) })
	t.Run("IPv6", func(t *testing.T) { f(t, true) })
}

func dice(seed uint64, percent int) func() bool {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() bool { return r.IntN(100) < percent }
}
