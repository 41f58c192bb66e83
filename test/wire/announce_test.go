// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// The first announcement moves the entry of a kernel that has just learned another one.
func TestAnnouncementMovesAKernelsEntry(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, one, two := l.host("client"), l.node("node1"), l.node("node2")
	l.speak(one)
	for _, addr := range vips {
		client.talk(addr)
		eventually(t, time.Second, "resolved", func() bool {
			return strings.HasPrefix(client.entry(addr), "lladdr "+one.mac.String())
		})
	}
	one.SetTable(one.table(false))
	two.speak()
	two.Announce(vips...)
	start := time.Now()
	for _, addr := range vips {
		eventually(t, 500*time.Millisecond, fmt.Sprintf("%v moved, is %q", addr, client.entry(addr)), func() bool {
			return strings.HasPrefix(client.entry(addr), "lladdr "+two.mac.String())
		})
	}
	t.Logf("moved after %v", time.Since(start))
	client.wantAnswer(two.mac.String())
	if c := one.Counters(); c.Claims != 0 {
		t.Errorf("the node without a voice claimed %d times", c.Claims)
	}
}

func TestAnnouncementFollowsTheVoice(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, two := l.node("node1"), l.node("node2")
	one.speak()
	one.Announce(vip4, vip6)
	eventually(t, time.Second, "first rounds heard", func() bool { return len(two.heard) >= 4 })
	one.SetTable(one.table(false))
	time.Sleep(20 * time.Millisecond)
	before := one.Counters().Claims
	time.Sleep(1500 * time.Millisecond)
	if after := one.Counters().Claims; after != before {
		t.Errorf("%d claims without a voice", after-before)
	}
	for len(two.heard) > 0 {
		if h := <-two.heard; h.Sound != neighbor.HeardClaim || !h.Marked || h.MAC != one.mac {
			t.Errorf("heard %+v", h)
		}
	}
}

// The mark of each kind of frame arrives over veth and bridge, by broadcast and unicast.
func TestMarksPassTheSegment(t *testing.T) {
	l := newLab(t)
	speaker, asker := l.node("node1"), l.node("node2")
	l.speak(speaker)
	nonce := uint32(100)
	for _, addr := range vips {
		for _, to := range []neighbor.MAC{neighbor.Broadcast(), speaker.mac} {
			for _, form := range []neighbor.Form{neighbor.OwnAddress, neighbor.ZeroSender} {
				nonce++
				q, ok := neighbor.Question(asker.Table().Self(), addr, to, form, neighbor.Mark{Nonce: nonce})
				if !ok {
					t.Fatal("no question")
				}
				if err := asker.Send(q); err != nil {
					t.Fatal(err)
				}
				what := fmt.Sprintf("%v, to %v, form %d", addr, to, form)
				got := hear(t, speaker.heard, what)
				if got.Sound != neighbor.HeardQuestion || got.Mark.Nonce != nonce || got.MAC != asker.mac {
					t.Errorf("%s: the speaker heard %+v", what, got)
				}
				got = hear(t, asker.heard, what)
				if got.Sound != neighbor.HeardAnswer || !got.Marked || got.Mark.Nonce != nonce || got.MAC != speaker.mac ||
					got.Mark.Standing != neighbor.StandingLease || got.Age < 0 || got.Age > neighbor.FrameLimit {
					t.Errorf("%s: the asker heard %+v", what, got)
				}
			}
		}
		speaker.ClaimTo(addr, asker.mac)
		for range 2 {
			if got := hear(t, asker.heard, "claim"); got.Sound != neighbor.HeardClaim || !got.Marked || got.Addr != addr {
				t.Errorf("the asker heard %+v", got)
			}
		}
	}
}

func hear(t *testing.T, heard <-chan wire.Heard, what string) wire.Heard {
	t.Helper()
	select {
	case h := <-heard:
		return h
	case <-time.After(time.Second):
		t.Fatalf("%s: nothing heard", what)
		return wire.Heard{}
	}
}

func TestThousandAnnouncementsAreSoonOut(t *testing.T) {
	l := newLab(t)
	one, two := l.node("node1"), l.node("node2")
	var many []netip.Addr
	for i := range 1000 {
		many = append(many, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
	}
	one.SetTable(one.table(true, many...))
	two.SetTable(two.table(false, many...))
	start := time.Now()
	one.Announce(many...)
	heard := map[netip.Addr]bool{}
	for len(heard) < len(many) {
		select {
		case h := <-two.heard:
			heard[h.Addr] = true
		case <-time.After(3 * time.Second):
			t.Fatalf("%d of %d addresses heard", len(heard), len(many))
		}
	}
	if d := time.Since(start); d > 1500*time.Millisecond {
		t.Errorf("the last of 1000 addresses was announced after %v", d)
	}
}
