// SPDX-License-Identifier: Apache-2.0

package election

import (
	"net/netip"
	"testing"
	"time"
)

func TestDead(t *testing.T) {
	const ms = time.Millisecond
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	both := func(servable ...netip.Addr) PolicySeen {
		p := policy("o", "n", "q")
		p.Addresses, p.Servable = []netip.Addr{v4, v6}, servable
		if len(servable) < 2 {
			p.Unservable = "no carrier"
		}
		return PolicySeen{Policy: p}
	}
	for name, story := range map[string]func(t *testing.T){
		"writes at once, and speaks at once": func(t *testing.T) {
			p := deadOwner(t).swap("n").swapped(true).speaks("the detector has asked").because(OwnerDead)
			if p.state.Ghost() != "o" {
				t.Errorf("the ghost is %q", p.state.Ghost())
			}
		},
		"the owner is heard for its other address: dead all the same": func(t *testing.T) {
			p := newPlayer(t).step(both(v4, v6)).lease("o", 3).pulse()
			here := Heard{Voice: Voice{Node: "o", Addr: v6, LeaseUID: "u", Transitions: 3, Standing: Held}}
			p.step(Dead{Addrs: []netip.Addr{v4}, Since: p.now}, here).swap("n").step(here).swapped(true).speaks("for both")
		},
		"the owner is heard for the address itself: it lives": func(t *testing.T) {
			p := newPlayer(t).step(both(v4, v6)).lease("o", 3).pulse()
			p.step(Dead{Addrs: []netip.Addr{v4}, Since: p.now}).swap("n").
				step(Heard{Voice: Voice{Node: "o", Addr: v4, LeaseUID: "u", Transitions: 3, Standing: Held}}).swapped(true).silent("it lives")
		},
		"the second standby waits a step": func(t *testing.T) {
			newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().
				pass(25 * ms).writesNothing("too early").pass(10 * ms).swap("n")
		},
		"refused: claims at once": func(t *testing.T) {
			p := deadOwner(t).swap("n").step(SwapDone{Attempt: 1}).speaks("by the wire").because(OwnerDead)
			if p.state.Standing() != Wire {
				t.Error("holds a Lease it did not get")
			}
		},
		"unanswered: claims after 200 ms": func(t *testing.T) {
			deadOwner(t).swap("n").pass(190 * ms).silent("the answer may come").pass(20 * ms).
				speaks("by the wire").because(OwnerDead).swapped(true).speaks("and holds the Lease")
		},
		"the second standby, refused: waits for the first one's claim": func(t *testing.T) {
			p := newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().pass(40 * ms).swap("n").step(SwapDone{Attempt: 1})
			p.pass(180 * ms).silent("the first may claim").pass(20 * ms).speaks("nobody did").because(OwnerDead)
		},
		"the second standby, refused, and the first claims": func(t *testing.T) {
			p := newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().pass(40 * ms).swap("n").step(SwapDone{Attempt: 1})
			p.says("q", 3, Wire).live(3 * second).silent("q speaks")
		},
		"the second standby, refused, and the first has written": func(t *testing.T) {
			p := newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().pass(40 * ms).swap("n").step(SwapDone{Attempt: 1})
			p.lease("q", 4).live(3 * second).silent("q holds it")
		},
		"the second standby, unanswered: waits for the first one's claim": func(t *testing.T) {
			p := newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().pass(40 * ms).swap("n")
			p.pass(380 * ms).silent("the first may claim").pass(20 * ms).speaks("nobody did").because(OwnerDead)
		},
		"not sent: no claim, and nothing to read": func(t *testing.T) {
			p := deadOwner(t).swap("n").step(SwapDone{Attempt: 1, Unsent: true}).silent("another was first").phase(Standby)
			if count[ReadLease](p.done) != 0 {
				t.Error("reads the Lease")
			}
		},
		"conflict: reads": func(t *testing.T) {
			p := deadOwner(t).swap("n").step(SwapDone{Attempt: 1, Conflict: true}).silent("another was first")
			if count[ReadLease](p.done) != 1 {
				t.Error("does not read the Lease")
			}
			p.step(LeaseRead{Lease: lease("q", 4), OK: true}).live(3 * second).silent("q has it").phase(Standby)
		},
		"unanswered, but the owner was heard: no claim": func(t *testing.T) {
			deadOwner(t).swap("n").pass(100*ms).says("o", 3, Held).pass(second).silent("o lives").
				swapped(true).silent("o lives").swap("o")
		},
		"unanswered, and excluded meanwhile: no claim": func(t *testing.T) {
			deadOwner(t).swap("n").step(PolicySeen{Policy: func() Policy {
				p := policy("o", "n", "q")
				p.Excluded = "by name"
				return p
			}()}).pass(second).silent("it may not").step(SwapDone{Attempt: 1}).silent("it may not")
		},
		"unanswered, and leaving meanwhile: no claim": func(t *testing.T) {
			deadOwner(t).swap("n").step(Leave{}).pass(second).silent("it ends").step(SwapDone{Attempt: 1}).silent("it ends")
		},
		"claimed, and written late: given to who speaks by then": func(t *testing.T) {
			p := deadOwner(t).swap("n").pass(210 * ms).speaks("by the wire").
				step(Heard{Voice: Voice{Node: "q", LeaseUID: "u", Transitions: 3, Standing: Wire, Lower: true}}).silent("q is higher")
			p.swapped(true).step(LeaseRead{Lease: lease("n", 4), OK: true}).pulse().pass(50*ms).
				says("q", 3, Wire).silent("q speaks").swap("q")
		},
		"an answer before its turn": func(t *testing.T) {
			newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().says("o", 3, Held).
				live(3 * second).writesNothing("o lives").phase(Standby)
		},
		"a vouch before its turn": func(t *testing.T) {
			newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().
				step(Heard{Voice: Voice{Node: "o", LeaseUID: "u", Transitions: 3, Vouched: true}}).
				live(3 * second).writesNothing("o lives").phase(Standby)
		},
		"the verdict is of an older epoch": func(t *testing.T) {
			newPlayer(t).policy("o", "q", "n").lease("o", 3).pulse().dead().lease("q", 4).
				live(3 * second).writesNothing("q has it").phase(Standby)
		},
		"without API: the detector's word is enough": func(t *testing.T) {
			newPlayer(t).policy("o", "n", "q").lease("o", 3).dead().pass(200 * ms).swap("n").
				step(SwapDone{Attempt: 1}).speaks("by the wire")
		},
		"one address dead, the other served here too: taken": func(t *testing.T) {
			newPlayer(t).step(both(v4, v6)).lease("o", 3).pulse().step(Dead{Addrs: []netip.Addr{v4}, Since: 1}).swap("n")
		},
		"one address dead, the other cannot be served here: left": func(t *testing.T) {
			newPlayer(t).step(both(v4)).lease("o", 3).pulse().step(Dead{Addrs: []netip.Addr{v4}, Since: 1}).
				live(second).writesNothing("v6 would be lost")
		},
		"both dead, one can be served here: taken, last": func(t *testing.T) {
			newPlayer(t).step(both(v4)).lease("o", 3).pulse().step(Dead{Addrs: []netip.Addr{v4, v6}, Since: 1}).
				pass(80 * ms).writesNothing("others could serve both").pass(20 * ms).swap("n")
		},
		"dead is only what cannot be served here either: left": func(t *testing.T) {
			newPlayer(t).step(both(v4)).lease("o", 3).pulse().step(Dead{Addrs: []netip.Addr{v6}, Since: 1}).
				live(second).writesNothing("nothing would be won")
		},
		"never heard in its epoch: taken after asking": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").lease("o", 3).pulse().
				step(Dead{Addrs: []netip.Addr{v4}, Since: 1, Unheard: true}).swap("n").swapped(true).silent("not asked yet")
			p.pass(150 * ms).speaks("nobody answered").because(OwnerMute)
		},
		"never heard, and the write hangs: no claim": func(t *testing.T) {
			newPlayer(t).policy("o", "n").lease("o", 3).pulse().
				step(Dead{Addrs: []netip.Addr{v4}, Since: 1, Unheard: true}).swap("n").pass(second).silent("it may live")
		},
		"does not forward yet: comes last": func(t *testing.T) {
			p := policy("o", "n", "q")
			p.Unready = true
			newPlayer(t).step(PolicySeen{Policy: p}).lease("o", 3).pulse().dead().
				pass(80 * ms).writesNothing("q could").pass(20 * ms).swap("n")
		},
		"does not forward yet: takes no gift": func(t *testing.T) {
			p := policy("o", "n", "q")
			p.Unready = true
			newPlayer(t).step(PolicySeen{Policy: p}).lease("o", 3).pulse().lease("n", 4).
				pass(900 * ms).writesNothing("o takes it back").silent("it is not ready")
		},
	} {
		t.Run(name, story)
	}
}

func TestLeft(t *testing.T) {
	const ms = time.Millisecond
	cut := func(t *testing.T) *player { return newPlayer(t).policy("o", "n", "q").lease("o", 3) }
	left := Left{Node: "o"}
	for name, story := range map[string]func(t *testing.T){
		"cut off too: claims, though nobody asked it yet and the owner answers": func(t *testing.T) {
			cut(t).step(left).says("o", 3, Held).pass(100 * ms).speaks("the owner asked").because(OwnerLeft)
		},
		"another was quicker": func(t *testing.T) {
			cut(t).step(left, Contacted{}).says("q", 3, Wire).pass(1400 * ms).silent("q took over")
		},
		"the API server can be reached: its rules count": func(t *testing.T) {
			cut(t).pulse().step(left).live(second).silent("o still answers").writesNothing("o still answers")
		},
		"in an older epoch": func(t *testing.T) {
			cut(t).step(Contacted{}, left).lease("q", 4).pass(second).silent("q has it")
		},
	} {
		t.Run(name, story)
	}
}

func TestRecalled(t *testing.T) {
	const ms = time.Millisecond
	three := func(holder string) Recalled { return Recalled{Lease: lease(holder, 3)} }
	for name, story := range map[string]func(t *testing.T){
		"another's, and nobody speaks: claims in turn": func(t *testing.T) {
			newPlayer(t).policy("o", "n").step(three("o"), Contacted{}).pass(250 * ms).speaks("o is silent").because(Remembered)
		},
		"another's, and it speaks": func(t *testing.T) {
			p := newPlayer(t).policy("o", "n").step(three("o"), Contacted{})
			for range 5 {
				p.says("o", 3, Wire).pass(1050 * ms) // it is asked again by then
			}
			p.silent("o speaks")
		},
		"another's, and nobody could contradict: waits": func(t *testing.T) {
			newPlayer(t).policy("o", "n").step(three("o")).pass(5 * second).silent("the others may be cut off from here")
		},
		"its own: asks, and claims": func(t *testing.T) {
			newPlayer(t).policy("n", "o").step(three("n"), Contacted{}, LeaseRead{}).pass(150 * ms).
				speaks("nobody answers").because(Resumed)
		},
		"the API server says otherwise": func(t *testing.T) {
			newPlayer(t).policy("o", "n").step(three("o"), Contacted{}).lease("q", 4).pass(5 * second).silent("q has it")
		},
		"the API server was there before: it counts": func(t *testing.T) {
			newPlayer(t).policy("o", "n").lease("o", 4).step(three("n"), Contacted{}).pass(5 * second).silent("o has it")
		},
	} {
		t.Run(name, story)
	}
}
