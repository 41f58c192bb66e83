// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestLaterEpochEndsAVoice(t *testing.T) {
	addr := netip.MustParseAddr("192.168.1.240")
	mine := neighbor.Entry{Addr: addr, Voice: true, LeaseUID: [16]byte{1}, Transitions: 3}
	say := func(sound neighbor.Sound, marked bool, lease byte, transitions uint32) neighbor.Heard {
		return neighbor.Heard{Sound: sound, Addr: addr, Marked: marked,
			Mark: neighbor.Mark{LeaseUID: [16]byte{lease}, Transitions: transitions}}
	}
	for _, tt := range []struct {
		what  string
		heard neighbor.Heard
		over  bool
	}{
		{"claim of a later epoch", say(neighbor.HeardClaim, true, 1, 4), true},
		{"answer of a later epoch", say(neighbor.HeardAnswer, true, 1, 4), true},
		{"the same epoch", say(neighbor.HeardClaim, true, 1, 3), false},
		{"an older epoch", say(neighbor.HeardClaim, true, 1, 2), false},
		{"another Lease", say(neighbor.HeardClaim, true, 2, 4), false},
		{"no mark", say(neighbor.HeardClaim, false, 1, 4), false},
		{"a question", say(neighbor.HeardQuestion, true, 1, 4), false},
	} {
		var l later
		if l.over(mine, time.Second) {
			t.Fatal("over before anything was heard")
		}
		l.heard(tt.heard, mine, time.Second)
		if got := l.over(mine, time.Second+time.Millisecond); got != tt.over {
			t.Errorf("%s: over %t, want %t", tt.what, got, tt.over)
		}
		if l.over(mine, time.Second+laterFor) {
			t.Errorf("%s: over for longer than the loop needs", tt.what)
		}
	}
	var l later
	l.heard(say(neighbor.HeardClaim, true, 1, 4), mine, time.Second)
	again := mine
	again.Transitions = 5
	if l.over(again, time.Second) {
		t.Error("an epoch later than the one that was heard is silenced")
	}
}
