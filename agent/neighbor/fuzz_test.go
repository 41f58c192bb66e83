// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// The ways in which a fuzzed table and gate differ from an open one.
const (
	fuzzMuted = 1 << iota
	fuzzNeedsEcho
	fuzzEchoOver
	fuzzNoPing
	fuzzRouter
	fuzzLoopLate
	fuzzMend // checksums and tags are made right first: no fuzzer guesses them
)

// Whatever arrives gets a verdict; an answer is what somebody else's codec says it should be,
// is for an address with a voice, goes to one card or to all nodes, is no amplifier, and
// leaves only through an open gate.
func FuzzDecide(f *testing.F) {
	for _, frame := range fuzzFrames(f) {
		f.Add(frame, int64(time.Millisecond), uint8(0))
		f.Add(frame, int64(0), uint8(fuzzMend|fuzzRouter))
		f.Add(frame[:len(frame)-9], int64(time.Second), uint8(fuzzNeedsEcho))
		f.Add(frame, int64(-time.Hour), uint8(fuzzNeedsEcho|fuzzEchoOver|fuzzMuted|fuzzLoopLate|fuzzNoPing))
	}
	f.Fuzz(func(t *testing.T, frame []byte, age int64, ways uint8) {
		frame = bytes.Clone(frame)
		if ways&fuzzMend != 0 {
			mend(frame)
		}
		before := bytes.Clone(frame)
		tab, g := fuzzTable(ways), fuzzGate(age, ways)
		buf := make([]byte, 0, max(len(frame), neighbor.ReplySize))
		v := tab.Decide(buf, frame, g)
		if !bytes.Equal(before, frame) {
			t.Error("the frame was written to")
		}
		if again := tab.Decide(nil, frame, g); !cmp.Equal(v, again, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
			t.Errorf("the same frame: %+v, then %+v", v, again)
		}
		if crc32.ChecksumIEEE(frame)%16 == 0 { // it is slow
			if n := testing.AllocsPerRun(10, func() { tab.Decide(buf, frame, g) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		}
		if (v.Drop == neighbor.DropNone) != (v.Reply != nil) || v.Drop >= neighbor.NumDrops || v.Echo && v.Reply == nil {
			t.Fatalf("drop %v, echo %v, with a reply of %d octets", v.Drop, v.Echo, len(v.Reply))
		}
		checkHeard(t, tab, v)
		if v.Reply != nil {
			checkReply(t, tab, frame, v, g)
			if len(v.Reply) > cap(buf) {
				t.Errorf("a reply of %d octets to a frame of %d", len(v.Reply), len(frame))
			}
		}
	})
}

// fuzzFrames are frames of each kind, as hosts and as agents send them.
func fuzzFrames(t testing.TB) [][]byte {
	var frames [][]byte
	hot := hotFrames(t)
	for _, name := range slices.Sorted(maps.Keys(hot)) { // a seed has a number
		frames = append(frames, hot[name])
	}
	for _, addr := range []netip.Addr{vip4, vip6, mute4} {
		claims, ok := peer().Claim(addr, open(), 1)
		if !ok {
			t.Fatal("no claim")
		}
		frames = append(frames, claims...)
	}
	for _, kind := range slices.Sorted(maps.Keys(words)) {
		for _, addr := range []netip.Addr{vip4, vip6} {
			word, _ := neighbor.Word(peer().Self(), addr, ourMAC, neighbor.OwnAddress, neighbor.Mark{Kind: kind, Nonce: 3})
			frames = append(frames, word)
		}
	}
	f4, f6 := request(), solicit()
	f4.spa, f6.src, f6.message = zero4, zero6, solicitation(vip6, ndp.NewNonce())
	o4 := ping4()
	o4.options = []byte{7, 3, 4, 0}
	return append(frames, f4.frame(t), f6.frame(t), ping4().frame(t), ping6().frame(t), o4.frame(t),
		reply(func(*arpFields) {}).frame(t), advice(func(*ndpFields, *ndp.NeighborAdvertisement) {}).frame(t))
}

func fuzzTable(ways uint8) *neighbor.Table {
	s, es := self(), entries()
	s.Router = ways&fuzzRouter != 0
	for i := range es {
		es[i].Muted = ways&fuzzMuted != 0
		es[i].NeedsEcho = ways&fuzzNeedsEcho != 0
		es[i].Ping = ways&fuzzNoPing == 0
	}
	es = append(es, neighbor.Entry{Addr: gateway4, Witness: true}, neighbor.Entry{Addr: gateway6, Witness: true})
	return neighbor.NewTable(s, es)
}

func fuzzGate(age int64, ways uint8) neighbor.Gate {
	g := open()
	g.FrameAge = time.Duration(age)
	if ways&fuzzEchoOver != 0 {
		g.EchoUntil = g.Now
	}
	if ways&fuzzLoopLate != 0 {
		g.Tick = g.Now - time.Second
	}
	return g
}

// mend makes the checksums of a frame right, and the tag of a mark where ARP has it.
func mend(frame []byte) {
	if len(frame) < 14 {
		return
	}
	b := frame[14:]
	sum := func(b []byte, at int, of func([]byte) uint16) {
		if len(b) >= at+2 {
			b[at], b[at+1] = 0, 0
			binary.BigEndian.PutUint16(b[at:], of(b))
		}
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		if len(b) < 20 {
			return
		}
		sum(b[:20], 10, referenceSum)
		if size := int(binary.BigEndian.Uint16(b[2:])); size > 20 && size <= len(b) {
			sum(b[20:size], 2, referenceSum)
		}
	case 0x86dd:
		if len(b) < 40 {
			return
		}
		src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		if size := int(binary.BigEndian.Uint16(b[4:])); size <= len(b)-40 {
			sum(b[40:40+size], 2, func(m []byte) uint16 { return referenceChecksum(src, dst, m) })
		}
	case 0x0806:
		if len(b) < 28+54 {
			return
		}
		m := neighbor.Mark{
			Kind: neighbor.Kind(b[31]), Standing: neighbor.Standing(b[32]), Flags: b[33], Cluster: [8]byte(b[34:]),
			Incarnation: [8]byte(b[42:]), LeaseUID: [16]byte(b[50:]),
			Transitions: binary.BigEndian.Uint32(b[66:]), Nonce: binary.BigEndian.Uint32(b[70:]),
		}
		about := netip.AddrFrom4([4]byte(b[14:]))
		if b[7] == 1 && about != vip4 {
			about = netip.AddrFrom4([4]byte(b[24:]))
		}
		copy(b[28:], neighbor.AppendMark(nil, m, about, neighbor.MAC(b[8:]), secret))
	}
}

func checkHeard(t *testing.T, tab *neighbor.Table, v neighbor.Verdict) {
	t.Helper()
	h := v.Heard
	if h.Sound == neighbor.Silence {
		return
	}
	e, ok := tab.Lookup(h.Addr)
	if !ok || !h.MAC.IsCard() || h.MAC == ourMAC || v.Echo {
		t.Errorf("heard %+v", h)
	}
	if e.Witness != (h.Sound == neighbor.HeardWitness) {
		t.Errorf("of a witness: %+v", h)
	}
	if h.Marked && (h.Mark.Cluster != cluster || h.Mark.Incarnation == [8]byte{1}) {
		t.Errorf("marked by %+v", h.Mark)
	}
	said := h.Sound == neighbor.HeardVouch || h.Sound == neighbor.HeardLeaving
	if said && (!h.Marked || v.Reply != nil) {
		t.Errorf("a %v, marked: %v, answered: %v", h.Sound, h.Marked, v.Reply != nil)
	}
}

func checkReply(t *testing.T, tab *neighbor.Table, frame []byte, v neighbor.Verdict, g neighbor.Gate) {
	t.Helper()
	e, ok := tab.Lookup(v.Addr)
	if !ok || !e.Voice || e.Muted {
		t.Fatalf("answered for %v", v.Addr)
	}
	if g.FrameAge > neighbor.FrameLimit || g.FrameAge < -time.Millisecond || g.Now-g.Tick > neighbor.TickLimit ||
		e.NeedsEcho && g.Now >= g.EchoUntil {
		t.Error("answered through a shut gate")
	}
	asked := neighbor.MAC(frame)
	if v.Echo {
		got := readEcho(t, v.Reply)
		if !e.Ping || asked != ourMAC || got.to != neighbor.MAC(frame[6:]) || got.from != ourMAC || got.src != v.Addr ||
			!got.dst.IsValid() || got.dst.IsMulticast() || got.dst.IsUnspecified() || got.hops != 64 {
			t.Errorf("echo %+v", got)
		}
		return
	}
	if asked != ourMAC && asked[0]&1 == 0 {
		t.Errorf("answered what was sent to %v", asked)
	}
	if v.Addr.Is4() {
		got := readARP(t, v.Reply)
		if p := got.packet; p.Operation != arp.OperationReply || p.SenderIP != v.Addr || !got.to.IsCard() || got.to == ourMAC ||
			got.from != ourMAC || !bytes.Equal(p.SenderHardwareAddr, ourMAC[:]) || neighbor.MAC(p.TargetHardwareAddr) != got.to ||
			got.mark.Kind != neighbor.MarkAnswer {
			t.Errorf("answer %+v", got)
		}
		return
	}
	got := readNDP(t, v.Reply)
	na := got.advertisement(t)
	defence := got.dst == nodes6
	if got.src != v.Addr || na.TargetAddress != v.Addr || got.hopLimit != 255 || got.from != ourMAC ||
		!na.Override || na.Solicited == defence || na.Router != tab.Self().Router ||
		!bytes.Equal(got.targetLL(), ourMAC[:]) || got.mark.Kind != neighbor.MarkAnswer {
		t.Errorf("answer %+v, %+v", got, na)
	}
	if defence && got.to != groupOf(nodes6) || !defence && (!got.to.IsCard() || got.to == ourMAC || got.dst.IsMulticast()) {
		t.Errorf("answered to %v, %v", got.to, got.dst)
	}
}
