// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func mark() neighbor.Mark {
	return neighbor.Mark{
		Kind: neighbor.MarkClaim, Cluster: cluster, Incarnation: [8]byte{3}, LeaseUID: epoch,
		Transitions: 1 << 31, Standing: neighbor.StandingWire, Nonce: 77,
		Flags: neighbor.FlagHears | 0x80,
	}
}

func TestMarkComesBackAsItWas(t *testing.T) {
	for _, tail := range [][]byte{nil, {0}, make([]byte, 100)} {
		b := append(neighbor.AppendMark(nil, mark(), vip6, ourMAC), tail...)
		got, ok := neighbor.ParseMark(b, vip6, ourMAC)
		if !ok {
			t.Fatal("not a mark")
		}
		if diff := cmp.Diff(mark(), got); diff != "" {
			t.Errorf("mark (-want +got):\n%s", diff)
		}
	}
}

// The version stays: who does not know the flags reads the rest, and finds the sum right.
func TestFlagsStandWhereReservedOctetsWere(t *testing.T) {
	b := neighbor.AppendMark(nil, mark(), vip4, ourMAC)
	if b[4] != 1 || b[7] != neighbor.FlagHears|0x80 || b[8] != 0 || b[9] != 0 {
		t.Errorf("version and flags: % x", b[4:10])
	}
}

// The size of the option's value is a multiple of eight with its header (RFC 4861 section 4.6).
func TestMarkFitsAnOption(t *testing.T) {
	if n := len(neighbor.AppendMark(nil, mark(), vip6, ourMAC)); (n+2)%8 != 0 {
		t.Errorf("%d octets", n)
	}
}

func TestMarkIsForOneAddressAndOneCard(t *testing.T) {
	b := neighbor.AppendMark(nil, mark(), vip4, ourMAC)
	if _, ok := neighbor.ParseMark(b, mute4, ourMAC); ok {
		t.Error("taken for another address")
	}
	if _, ok := neighbor.ParseMark(b, vip4, otherMAC); ok {
		t.Error("taken for another card")
	}
}

func TestMarkWithAnyOctetChangedIsNone(t *testing.T) {
	good := neighbor.AppendMark(nil, mark(), vip4, ourMAC)
	for i := range good {
		for bit := range 8 {
			b := append([]byte(nil), good...)
			b[i] ^= 1 << bit
			if _, ok := neighbor.ParseMark(b, vip4, ourMAC); ok {
				t.Errorf("octet %d, bit %d: still a mark", i, bit)
			}
		}
		if _, ok := neighbor.ParseMark(good[:i], vip4, ourMAC); ok {
			t.Errorf("cut to %d octets: still a mark", i)
		}
	}
}

func TestMarkOfUnknownKindOrStandingIsNone(t *testing.T) {
	for _, change := range []func(*neighbor.Mark){
		func(m *neighbor.Mark) { m.Kind = 0 },
		func(m *neighbor.Mark) { m.Kind = neighbor.MarkLeaving + 1 },
		func(m *neighbor.Mark) { m.Standing = 3 },
	} {
		m := mark()
		change(&m)
		if _, ok := neighbor.ParseMark(neighbor.AppendMark(nil, m, vip4, ourMAC), vip4, ourMAC); ok {
			t.Errorf("%+v is a mark", m)
		}
	}
}

func TestRandomPaddingIsNoMark(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	magic := neighbor.AppendMark(nil, mark(), vip4, ourMAC)[:5]
	b := make([]byte, 54)
	for range 100_000 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		copy(b, magic) // even where chance got the beginning right
		if _, ok := neighbor.ParseMark(b, vip4, ourMAC); ok {
			t.Fatalf("%x is a mark", b)
		}
	}
}
