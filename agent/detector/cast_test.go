// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"
	"time"
)

// deafFlagged gives when a question first told its card that it is deaf; 0: none did.
func deafFlagged(w *world, card MAC) Time {
	for _, s := range w.said {
		if o, ok := s.o.(Ask); ok && o.To == card && o.Flags&FlagDeaf != 0 {
			return s.at
		}
	}
	return 0
}

// A card that answers what is asked of it alone, and nothing that is asked of all, is told so, if
// others do answer that. It is not dead.
func TestDeafToBroadcasts(t *testing.T) {
	for _, test := range []struct {
		name    string
		gateway bool // there is one
		mute    bool // it does not answer either
		other   bool // another speaker does
		want    bool
	}{
		{name: "the gateway answers", gateway: true, want: true},
		{name: "another speaker answers", other: true, want: true},
		{name: "nobody is there to compare with"},
		{name: "the gateway does not either", gateway: true, mute: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				w := newWorld(t)
				if test.gateway {
					w.gateway(Path{"eth0", v6}).filter = test.mute
				}
				c := w.card(1, addrs(4, v6)...)
				w.stand(1, "eth0", addrs(4, v6)...)
				if test.other {
					w.card(2, addr(9, v6))
					w.stand(2, "eth0", addr(9, v6))
				}
				w.run(30 * sec)
				if at := deafFlagged(w, mac(1)); at != 0 {
					t.Fatalf("told deaf at %v although it answers", at)
				}
				c.filter = true
				from := w.now
				w.run(60 * sec)
				at := deafFlagged(w, mac(1))
				if test.want && (at < from+20*sec || at > from+45*sec) || !test.want && at != 0 {
					t.Errorf("told deaf at %v, %v after it went deaf; want it told: %v", at, at-from, test.want)
				}
				if deafFlagged(w, mac(2)) != 0 {
					t.Error("the other speaker is told that it is deaf")
				}
				if dead := of[Dead](w, 0); len(dead) > 0 {
					t.Errorf("told dead: %+v", dead)
				}
				c.filter = false
				w.run(15 * sec)
				from = w.now
				w.said = nil
				w.run(10 * sec)
				if at := deafFlagged(w, mac(1)); at != 0 {
					t.Errorf("told deaf at %v, %v after it answered again", at, at-from)
				}
			})
		})
	}
}

// Single frames that are lost are nothing.
func TestDeafNeedsThreeInARow(t *testing.T) {
	w := newWorld(t)
	w.gateway(Path{"eth0", false})
	c := w.card(1, addrs(4, false)...)
	w.stand(1, "eth0", addrs(4, false)...)
	for range 60 { // deaf for two of three questions to all
		c.filter = true
		w.run(2 * w.d.castEvery())
		c.filter = false
		w.run(w.d.castEvery() + 2*sec)
	}
	if at := deafFlagged(w, mac(1)); at != 0 {
		t.Errorf("told deaf at %v", at)
	}
}

// However many speakers there are, a node sends no more than one such question per CastGap.
func TestCastBudget(t *testing.T) {
	w := newWorld(t)
	w.gateway(Path{"eth0", false})
	const speakers = 100
	for n := range speakers {
		w.card(n+1, addr(n, false))
		w.stand(n+1, "eth0", addr(n, false))
	}
	w.run(60 * sec)
	from := w.now
	w.run(100 * sec)
	casts := 0
	for _, o := range of[Ask](w, from) {
		if o.To == broadcast {
			casts++
		}
	}
	if most := int(100 * time.Second / w.d.cfg.CastGap); casts > most+speakers/10 || casts < most/2 {
		t.Errorf("%d questions to all in 100 s, want about %d", casts, most)
	}
}

// A speaker knows who finds it deaf, for as long as it is told.
func TestWatchedDeaf(t *testing.T) {
	w := newWorld(t)
	a := addr(0, false)
	w.d.Follow(w.now, "a", View{Role: Speak, Since: w.now, Transitions: 1, Places: []Place{{Addr: a, Interface: "eth0"}}})
	ask := func(flags uint8) {
		w.d.Heard(w.now, Sound{Kind: Question, Interface: "eth0", Addr: a, From: mac(7), Unicast: true, SameLease: true, Transitions: 1, Flags: flags, At: w.now})
	}
	ask(FlagHears)
	if got := w.d.Watched("a"); got.Deaf != (MAC{}) || !got.Hears {
		t.Errorf("watched %+v", got)
	}
	ask(FlagHears | FlagDeaf)
	if got := w.d.Watched("a"); got.Deaf != mac(7) || !got.Hears {
		t.Errorf("watched %+v, want deaf by %v", got, mac(7))
	}
	w.now += w.d.cfg.WatchedFor + sec
	ask(FlagHears)
	if got := w.d.Watched("a"); got.Deaf != (MAC{}) {
		t.Errorf("watched %+v, want it over", got)
	}
}
