// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Whatever arrives gets a verdict; an answer is well formed, is for an address with a
// voice, goes to one card or to all nodes, and only through an open gate.
func FuzzDecide(f *testing.F) {
	for _, frame := range hotFrames(f) {
		f.Add(frame, int64(time.Millisecond))
		f.Add(frame[:len(frame)-9], int64(time.Second))
	}
	for _, addr := range entries() {
		if frames, ok := peer().Claim(addr.Addr, open(), 1); ok {
			f.Add(frames[0], int64(0))
			f.Add(frames[1], int64(-time.Hour))
		}
	}
	for kind := range words {
		word, _ := neighbor.Word(peer().Self(), vip4, ourMAC, neighbor.OwnAddress, neighbor.Mark{Kind: kind})
		f.Add(word, int64(0))
	}
	f.Add(reply(func(*arpFields) {}).frame(f), int64(0))
	f.Add(advice(func(*ndpFields, *ndp.NeighborAdvertisement) {}).frame(f), int64(0))
	tab := witnesses()
	f.Fuzz(func(t *testing.T, frame []byte, age int64) {
		before := bytes.Clone(frame)
		g := open()
		g.FrameAge = time.Duration(age)
		v := tab.Decide(make([]byte, 0, neighbor.ReplySize), frame, g)
		if !bytes.Equal(before, frame) {
			t.Error("the frame was written to")
		}
		if (v.Drop == neighbor.DropNone) != (v.Reply != nil) || v.Drop >= neighbor.NumDrops {
			t.Fatalf("drop %v with a reply of %d octets", v.Drop, len(v.Reply))
		}
		if v.Heard.Sound != neighbor.Silence {
			if _, ok := tab.Lookup(v.Heard.Addr); !ok || !v.Heard.MAC.IsCard() || v.Heard.MAC == ourMAC {
				t.Errorf("heard %+v", v.Heard)
			}
			if e, _ := tab.Lookup(v.Heard.Addr); e.Witness != (v.Heard.Sound == neighbor.HeardWitness) {
				t.Errorf("of a witness: %+v", v.Heard)
			}
			if s := v.Heard.Sound; v.Reply != nil && (s == neighbor.HeardVouch || s == neighbor.HeardLeaving) {
				t.Errorf("answered a %v", s)
			}
		}
		if v.Reply == nil {
			return
		}
		if g.FrameAge > neighbor.FrameLimit {
			t.Error("a stale frame was answered")
		}
		if e, ok := tab.Lookup(v.Addr); !ok || !e.Voice {
			t.Errorf("answered for %v", v.Addr)
		}
		to := neighbor.MAC(v.Reply[:6])
		if !to.IsCard() && to != groupOf(nodes6) || to == ourMAC {
			t.Errorf("answered to %v", to)
		}
		if v.Addr.Is4() {
			if got := readARP(t, v.Reply); got.packet.SenderIP != vip4 || got.mark.Kind != neighbor.MarkAnswer {
				t.Errorf("answer %+v", got)
			}
		} else if got := readNDP(t, v.Reply); got.mark.Kind != neighbor.MarkAnswer {
			t.Errorf("answer %+v", got)
		}
	})
}

// Whatever is taken for a mark is one: it comes back from its own fields.
func FuzzParseMark(f *testing.F) {
	f.Add(neighbor.AppendMark(nil, mark(), vip4, ourMAC, secret))
	f.Add(neighbor.AppendMark(nil, neighbor.Mark{Kind: neighbor.MarkQuestion}, vip4, ourMAC, secret))
	f.Add([]byte("Ar\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := neighbor.ParseMark(b, vip4, ourMAC, secret)
		if !ok {
			if m != (neighbor.Mark{}) {
				t.Errorf("no mark, but %+v", m)
			}
			return
		}
		again, ok := neighbor.ParseMark(neighbor.AppendMark(nil, m, vip4, ourMAC, secret), vip4, ourMAC, secret)
		if !ok || again != m {
			t.Errorf("%+v came back as %+v, %v", m, again, ok)
		}
	})
}
