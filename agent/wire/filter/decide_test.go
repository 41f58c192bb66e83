// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/mld"
)

var (
	ourMAC  = neighbor.MAC{2, 0, 0, 0, 0, 1}
	peerMAC = neighbor.MAC{2, 0, 0, 0, 0, 2}
	gateMAC = neighbor.MAC{2, 0, 0, 0, 0, 3}
)

func entries() []neighbor.Entry {
	var es []neighbor.Entry
	for _, a := range []netip.Addr{vip4, vip6, netip.MustParseAddr("192.0.2.250"), netip.MustParseAddr("2001:db8:ffff::f0")} {
		es = append(es, neighbor.Entry{Addr: a, Voice: true, Ping: true, Standing: neighbor.StandingLease})
	}
	return append(es, neighbor.Entry{Addr: gate4, Witness: true}, neighbor.Entry{Addr: gate6, Witness: true})
}

func table(mac neighbor.MAC) *neighbor.Table {
	self := neighbor.Self{MAC: mac, IPv4: host4, LinkLocal: netip.MustParseAddr("fe80::77"), Incarnation: [8]byte{mac[5]}}
	return neighbor.NewTable(self, entries())
}

func open() neighbor.Gate { return neighbor.Gate{Now: time.Hour, Tick: time.Hour} }

// sum is the checksum of the octets, an even number of them.
func sum(b []byte, start uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		start += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for start>>16 != 0 {
		start = start>>16 + start&0xffff
	}
	return ^uint16(start)
}

// sealed fills in what makes an echo request sound: a source and the checksums.
func sealed(frame []byte) []byte {
	b := append([]byte(nil), frame...)
	if b[12] == 0x86 {
		copy(b[22:], host6.AsSlice())
		binary.BigEndian.PutUint16(b[56:], sum(b[22:], 58+uint32(len(b)-54)))
		return b
	}
	copy(b[26:], host4.AsSlice())
	header := 14 + int(b[14]&15)*4
	binary.BigEndian.PutUint16(b[24:], sum(b[14:header], 0))
	binary.BigEndian.PutUint16(b[header+2:], sum(b[header:], 0))
	return b
}

// filters are those that a port with the table has: of its addresses, coarse ones, general ones.
func filters(t testing.TB) (all [][NumKinds][outgoingKind]*bpf.VM) {
	t.Helper()
	var asked, witnesses [2][]netip.Addr
	for _, e := range entries() {
		family := 0
		if e.Addr.Is6() {
			family = 1
		}
		if e.Witness {
			witnesses[family] = append(witnesses[family], e.Addr)
		} else {
			asked[family] = append(asked[family], e.Addr)
		}
	}
	for _, limit := range []int{MaxInstructions, 55, 0} {
		var vms [NumKinds][outgoingKind]*bpf.VM
		for k := range NumKinds {
			family := int(k) % 2
			w := NewSet(witnesses[family])
			if k >= Echo4 {
				w = nil
			}
			f := Build(k, NewSet(asked[family]), w, limit)
			for packet := range vms[k] {
				vms[k][packet] = machine(t, f, uint32(packet))
			}
		}
		all = append(all, vms)
	}
	return all
}

// packetType is what the kernel takes the frame for on this card.
func packetType(frame []byte) int {
	to := neighbor.MAC(frame[:6])
	switch {
	case to == ourMAC:
		return hostKind
	case to == neighbor.Broadcast():
		return broadcastKind
	case to[0]&1 != 0:
		return multicastKind
	default:
		return otherKind
	}
}

// interesting is whether the table says anything about the frame: it is answered, or would be by
// an open gate, or passed on.
func interesting(v neighbor.Verdict) bool {
	return v.Question() || v.Heard.Sound != neighbor.Silence
}

// heeded is whether the listener of multicast groups heeds the frame.
func heeded(frame []byte) bool {
	_, err := mld.Parse(frame)
	return err == nil && packetType(frame) == multicastKind
}

// Whatever the table, or the listener of groups, has anything to say about passes each filter of the table's addresses.
func FuzzNothingInterestingIsLost(f *testing.F) {
	peer, gate := table(peerMAC), table(gateMAC)
	for _, e := range entries() {
		frames, _ := peer.Claim(e.Addr, open(), 1)
		for _, form := range []neighbor.Form{neighbor.OwnAddress, neighbor.ZeroSender} {
			for _, to := range []neighbor.MAC{ourMAC, neighbor.Broadcast()} {
				q, _ := neighbor.Question(peer.Self(), e.Addr, to, form, neighbor.Mark{})
				frames = append(frames, q)
				probe, _ := neighbor.Probe(peer.Self(), e.Addr, to)
				frames = append(frames, probe)
			}
		}
		own, _ := neighbor.Question(table(ourMAC).Self(), e.Addr, peerMAC, neighbor.OwnAddress, neighbor.Mark{})
		frames = append(frames, peer.Decide(nil, own, open()).Reply, gate.Decide(nil, own, open()).Reply)
		for _, frame := range frames {
			if frame != nil {
				f.Add(frame)
			}
		}
	}
	for _, frame := range [][]byte{
		arpFrame(1, vip4, host4), arpFrame(2, gate4, host4), ndpFrame(135, vip6, host6), ndpFrame(136, gate6, gate6),
		echo4Frame(vip4, 0), echo4Frame(vip4, 1), echo6Frame(vip6),
	} {
		copy(frame, ourMAC[:])
		copy(frame[6:], peerMAC[:])
		f.Add(frame)
		f.Add(sealed(frame))
	}
	f.Add(queryFrame(peerMAC, false))
	f.Add(queryFrame(peerMAC, true))
	us, all := table(ourMAC), filters(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || !interesting(us.Decide(nil, frame, open())) && !heeded(frame) {
			return
		}
		for i, vms := range all {
			packet, heard := packetType(frame), false
			for k := range NumKinds {
				heard = heard || passes(t, vms[k][packet], frame)
			}
			if !heard {
				t.Errorf("filters %d drop %x: %+v", i, frame, us.Decide(nil, frame, open()))
			}
		}
	})
}

// queryFrame asks all listeners which groups they listen to, in version 1 or 2.
func queryFrame(from neighbor.MAC, v1 bool) []byte {
	size := byte(28)
	if v1 {
		size = 24
	}
	b := append([]byte{0x33, 0x33, 0, 0, 0, 1}, from[:]...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8+size, 0, 1)
	b = append(append(b, gate6.AsSlice()...), netip.MustParseAddr("ff02::1").AsSlice()...)
	b = append(b, 58, 0, 5, 2, 0, 0, 1, 0)
	b = append(b, append([]byte{130}, make([]byte, size-1)...)...)
	// The checksum is over addresses and message, as if there were no options.
	binary.BigEndian.PutUint16(b[64:], sum(slices.Concat(b[22:54], b[62:]), 58+uint32(size)))
	return b
}

// The seeds of the fuzzing are worth something only if the table has something to say to them.
func TestSeedsAreInteresting(t *testing.T) {
	for _, v1 := range []bool{false, true} {
		if f := queryFrame(peerMAC, v1); !heeded(f) {
			_, err := mld.Parse(f)
			t.Errorf("a query %x: %v", f, err)
		}
	}
	us := table(ourMAC)
	for _, addr := range []netip.Addr{vip4, vip6} {
		q, _ := neighbor.Question(table(peerMAC).Self(), addr, neighbor.Broadcast(), neighbor.OwnAddress, neighbor.Mark{})
		if v := us.Decide(nil, q, open()); v.Reply == nil || !interesting(v) {
			t.Errorf("%v: %+v", addr, v)
		}
	}
	for _, echo := range [][]byte{echo4Frame(vip4, 0), echo6Frame(vip6)} {
		copy(echo, ourMAC[:])
		copy(echo[6:], peerMAC[:])
		if v := us.Decide(nil, sealed(echo), open()); !v.Echo {
			t.Errorf("an echo request: %+v", v)
		}
	}
	reply := arpFrame(2, gate4, host4)
	copy(reply, ourMAC[:])
	copy(reply[6:], gateMAC[:])
	copy(reply[22:], gateMAC[:])
	if v := us.Decide(nil, reply, open()); v.Heard.Sound != neighbor.HeardWitness {
		t.Errorf("a witness: %+v", v)
	}
}
