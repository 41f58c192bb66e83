// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// forger is a host on the LAN that knows all of an installation but its key.
type forger struct {
	w     *world
	key   neighbor.Key
	lease [16]byte
}

// says sends, in the name of a card, what a speaker of a later epoch would say of an address:
// claims, answers and words, with a forged mark or with none.
func (f forger) says(mac neighbor.MAC, addr netip.Addr, marked bool) {
	self := neighbor.Self{
		MAC: mac, Cluster: short("this one"), Incarnation: short("n2"), Key: f.key,
		IPv4: addr, LinkLocal: netip.MustParseAddr("fe80::bad"),
	}
	if !marked {
		self.Cluster = [8]byte{'n', 'o', 'n', 'e'}
	}
	entry := neighbor.Entry{Addr: addr, Voice: true, LeaseUID: f.lease, Transitions: 1 << 20, Standing: neighbor.StandingLease}
	table, open := neighbor.NewTable(self, []neighbor.Entry{entry}), neighbor.Gate{Now: 1, Tick: 1}
	frames, _ := table.Claim(addr, open, 7)
	for _, name := range f.w.nodes { // answers to questions that the nodes might have asked
		asker := neighbor.Self{MAC: name.mac, IPv4: name.eth0().IPv4, LinkLocal: name.eth0().LinkLocal}
		q, _ := neighbor.Question(asker, addr, neighbor.Broadcast(), neighbor.OwnAddress, neighbor.Mark{})
		if v := table.Decide(nil, q, open); v.Reply != nil {
			frames = append(frames, v.Reply)
		}
	}
	for _, kind := range []neighbor.Kind{neighbor.MarkQuestion, neighbor.MarkVouch, neighbor.MarkLeaving} {
		m := neighbor.Mark{Kind: kind, LeaseUID: f.lease, Transitions: 1 << 20, Standing: neighbor.StandingLease}
		if frame, ok := neighbor.Word(self, addr, neighbor.Broadcast(), neighbor.ZeroSender, m); ok {
			frames = append(frames, frame)
		}
	}
	for _, frame := range frames {
		f.w.segment.Inject(frame)
	}
}

// No claim on the wire alone silences a speaker that can reach the API, or takes an address from
// it: in whatever name it comes, with a forged mark or without one.
func TestForgedClaimsTakeNothing(t *testing.T) {
	for name, mac := range map[string]neighbor.MAC{
		"ours": {2, 0, 0, 0, 0, 1}, "a peer's": {2, 0, 0, 0, 0, 2}, "the gateway's": {2, 0, 0, 0, 0, 0xfe}, "its own": foreign,
		"a lower one's": {0, 0, 0, 0, 0, 1},
	} {
		for _, marked := range []bool{true, false} {
			what := name + ", unmarked"
			if marked {
				what = name + ", forged mark"
			}
			t.Run(what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { forged(t, mac, marked) })
			})
		}
	}
}

func forged(t *testing.T, mac neighbor.MAC, marked bool) {
	w := &world{key: neighbor.Key{1, 2, 3}}
	w.begin(t, "n1", "n2", "n3")
	key := w.announce("web", "n1", "n2", "n3")
	w.until("n1", 5*time.Second)
	time.Sleep(10 * time.Second)
	synctest.Wait()
	f := forger{w: w, key: neighbor.Key{9}, lease: newReign("").leaseID(string(w.leases[v1alpha1.ServiceLease("default", "web")].UID))}
	swaps := w.swaps
	for range 400 {
		for _, addr := range []string{vip4, vip6} {
			f.says(mac, netip.MustParseAddr(addr), marked)
		}
		for _, addr := range []string{vip4, vip6} {
			if got := w.answers(addr); !slices.Equal(got, []string{"n1"}) {
				t.Fatalf("%v answer for %s", got, addr)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if w.swaps != swaps || w.holder("web") != "n1" {
		t.Errorf("%d writes of the Lease, %s holds it", w.swaps-swaps, w.holder("web"))
	}
	own := mac == w.nodes["n1"].mac
	if cs := w.conflicts(key); own != (len(cs) == 0) {
		t.Errorf("conflicts %+v", cs)
	}
	for name, m := range w.nodes {
		if n := len(m.notes()); n > 3 {
			t.Errorf("%s wrote %d Events", name, n)
		}
	}
}

// While the API server is away, a farewell is an order to take over. One that was recorded in an
// earlier reign and is sent again is none.
func TestFarewellOfAnEarlierReign(t *testing.T) {
	for ago, speaker := range []string{"n2", "n1"} { // reigns ago; who speaks then
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "n1", "n2")
			w.announce("web", "n1", "n2")
			w.until("n1", 5*time.Second)
			n1, l := w.nodes["n1"], w.leases[v1alpha1.ServiceLease("default", "web")]
			for _, m := range w.nodes {
				m.cutAPI()
			}
			time.Sleep(20 * time.Second)
			w.speaks("n1")
			self := neighbor.Self{
				MAC: n1.mac, Cluster: short("this one"), Incarnation: short("n1"), Key: w.key,
				IPv4: n1.eth0().IPv4, LinkLocal: n1.eth0().LinkLocal,
			}
			frame, ok := neighbor.Word(self, netip.MustParseAddr(vip4), neighbor.Broadcast(), neighbor.OwnAddress, neighbor.Mark{
				Kind: neighbor.MarkLeaving, LeaseUID: newReign("").leaseID(string(l.UID)),
				Transitions: uint32(*l.Spec.LeaseTransitions) - uint32(ago), Standing: neighbor.StandingLease,
			})
			if !ok {
				t.Fatal("no farewell")
			}
			w.segment.Inject(frame)
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			if took := w.nodes["n2"].loop.reigns[v1alpha1.ServiceLease("default", "web")]; took == nil {
				t.Fatal("n2 knows nothing of the Lease")
			} else if _, speaks := took.state.Voice(); speaks != (speaker == "n2") {
				t.Errorf("a farewell of %d reigns ago: n2 speaks: %v, want %s to speak", ago, speaks, speaker)
			}
		})
	}
}

// All that a speaker said was recorded, and is sent again without a pause once it is dead: the
// signatures are right, and it is taken over from all the same. Questions that were answered count for
// two seconds.
func TestRecordedVoicesKeepNobodyAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		n1 := w.nodes["n1"]
		var mu sync.Mutex // guards what follows
		var recorded [][]byte
		w.segment.Tap(func(frame []byte) {
			mu.Lock()
			defer mu.Unlock()
			if neighbor.MAC(frame[6:12]) == n1.mac {
				recorded = append(recorded, bytes.Clone(frame))
			}
		})
		w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(30 * time.Second)
		n1.kill()
		mu.Lock()
		frames := slices.Concat(recorded[:200], recorded[len(recorded)-200:])
		mu.Unlock()
		for range 150 {
			for _, f := range frames {
				w.segment.Inject(f)
			}
			time.Sleep(30 * time.Millisecond)
		}
		w.speaks("n2")
	})
}
