// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// chaos calls a detector in any order, with any arguments of a small world, and gives
// all outputs.
func chaos(t testing.TB, r *rand.Rand, calls int) []Output {
	d := New(Defaults())
	var out []Output
	now := sec
	ifaces := []string{"eth0", "eth1"}
	leases := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	pick := func() MAC { return mac(r.IntN(4)) }
	any := func() (a Place) {
		return Place{Addr: addr(r.IntN(12), r.IntN(2) == 0), Interface: ifaces[r.IntN(2)], Speaker: pick(), Ghost: pick()}
	}
	casts, asks := 0, 0
	var open []Ask
	var witnesses []AskWitness
	begin := now
	for range calls {
		before := d.Wake()
		switch n := r.IntN(40); {
		case n == 0 && r.IntN(4) == 0:
			v := View{Role: Role(r.IntN(4)), Near: r.IntN(4) > 0, Since: now - time.Duration(r.IntN(5))*sec, Transitions: r.Int32N(3)}
			for range r.IntN(4) {
				v.Places = append(v.Places, any())
			}
			d.Follow(now, leases[r.IntN(len(leases))], v)
		case n == 1 && r.IntN(10) == 0:
			var ws []Witness
			for range r.IntN(4) {
				ws = append(ws, Witness{Addr: addr(900+r.IntN(6), r.IntN(2) == 0), Card: pick(), Gateway: r.IntN(2) == 0})
			}
			d.Witnesses(now, Path{ifaces[r.IntN(2)], r.IntN(2) == 0}, ws)
		case n < 20 && len(open) > 0: // a good answer, but not in every third second
			o := open[0]
			open = open[1:]
			if now/sec%3 < 2 {
				d.Heard(now, Sound{
					Kind: Answer, Interface: o.Interface, Addr: o.Addr, From: o.To, Unicast: true,
					SameLease: true, Transitions: 3, Standing: 2, Nonce: o.Nonce, At: now,
				})
			}
		case n < 25 && len(witnesses) > 0:
			o := witnesses[0]
			witnesses = witnesses[1:]
			d.Heard(now, Sound{Kind: WitnessAnswer, Interface: o.Interface, Addr: o.Addr, From: o.To, At: now})
		case n < 27:
			p := any()
			if r.IntN(10) == 0 {
				p.Addr = addr(900+r.IntN(6), r.IntN(2) == 0)
			}
			d.Heard(now, Sound{
				Kind: Kind(r.IntN(9)), Interface: p.Interface, Addr: p.Addr, From: pick(), Unicast: r.IntN(2) == 0,
				SameLease: r.IntN(4) > 0, Transitions: r.Int32N(4), Standing: uint8(r.IntN(3)),
				Nonce: Nonce(d.last) - uint32(r.IntN(30)), Flags: uint8(r.IntN(8)), At: now - time.Duration(r.IntN(50)-10)*ms,
			})
		default:
			if wake := d.Wake(); wake != Never {
				now = max(now, wake) // on time, mostly
			}
			if r.IntN(30) == 0 {
				now += time.Duration(r.IntN(300)) * ms
			}
			d.Tick(now)
			if wake := d.Wake(); wake <= now {
				t.Fatalf("Tick at %v left what was due at %v", now, wake)
			}
		}
		if wake := d.Wake(); wake < min(before, now) {
			t.Fatalf("at %v something is due since %v that was not", now, wake)
		}
		now += time.Duration(r.IntN(3000)) * time.Microsecond
		for _, o := range d.Take() {
			if ask, ok := o.(AskWitness); ok {
				witnesses = append(witnesses, ask)
			}
			if ask, ok := o.(Ask); ok {
				if ask.To != broadcast && len(open) < 20 {
					open = append(open, ask)
				}
				asks++
				if ask.To == broadcast {
					casts++
				}
				if ask.To == (MAC{}) || ask.Nonce == 0 || ask.Lease == "" || ask.Zero && ask.Addr.Is6() {
					t.Fatalf("asks %+v", ask)
				}
			}
			out = append(out, o)
		}
	}
	span := float64(now-begin)/float64(sec) + 1
	if float64(casts) > 500*span {
		t.Errorf("%d broadcasts in %v", casts, now-begin)
	}
	// A call hears at most one question to join in; sixteen streams at the most have a
	// sample each.
	if limit := 250*span + float64(calls) + 16*8*4*25*span; float64(asks) > limit {
		t.Errorf("%d questions in %v and %d calls", asks, now-begin, calls)
	}
	if held := len(d.streams) + len(d.ghosts) + len(d.vouches) + len(d.contacts); held > 8*3+64+8 || len(d.leases) > 8 {
		t.Errorf("%d things are held", held)
	}
	return out
}

// No order of calls panics or leaves work undone, and the same calls give the same.
func TestAnyOrder(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(60) {
		a := chaos(t, rand.New(rand.NewPCG(seed, 7)), 4000)
		if seed%20 == 0 {
			b := chaos(t, rand.New(rand.NewPCG(seed, 7)), 4000)
			if diff := cmp.Diff(a, b, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
				t.Fatal(diff)
			}
		}
		for _, o := range a {
			switch o.(type) {
			case Dead:
				kinds["dead"]++
			case Ghost:
				kinds["ghost"]++
			case Vouch:
				kinds["vouch"]++
			case Contacted:
				kinds["contacted"]++
			case Audible:
				kinds["audible"]++
			case AskWitness:
				kinds["witness"]++
			}
		}
	}
	if len(kinds) != 6 {
		t.Errorf("the chaos reaches %v only", kinds)
	}
}
