// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
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
		b := append(neighbor.AppendMark(nil, mark(), vip6, ourMAC, secret), tail...)
		got, ok := neighbor.ParseMark(b, vip6, ourMAC, secret)
		if !ok {
			t.Fatal("not a mark")
		}
		if diff := cmp.Diff(mark(), got); diff != "" {
			t.Errorf("mark (-want +got):\n%s", diff)
		}
	}
}

// The format is what agents of two releases meet by: as octets, with the tag as OpenSSL
// computes it (openssl mac -macopt hexkey:KEY -macopt size:8 SIPHASH).
func TestMarkFormat(t *testing.T) {
	m := neighbor.Mark{
		Kind: neighbor.MarkQuestion, Standing: neighbor.StandingLease, Flags: neighbor.FlagHears,
		Transitions: 0x01020304, Nonce: 0x05060708,
	}
	for i := range 8 {
		m.Cluster[i], m.Incarnation[i] = 'c', 'i'
		m.LeaseUID[i], m.LeaseUID[8+i] = 'u', 'U'
	}
	want := "4172" + "01" + "01" + "02" + "02" +
		"6363636363636363" + "6969696969696969" + "7575757575757575" + "5555555555555555" +
		"01020304" + "05060708"
	key := neighbor.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for addr, tag := range map[netip.Addr]string{vip4: "748c684493072376", vip6: "c029afd4726e66c4"} {
		if got := hex.EncodeToString(neighbor.AppendMark(nil, m, addr, ourMAC, key)); got != want+tag {
			t.Errorf("%v:\n got %s\nwant %s", addr, got, want+tag)
		}
	}
}

func TestMarkOfAnotherKeyIsNone(t *testing.T) {
	for _, key := range []neighbor.Key{{}, {15: 1}, {'s', 'e', 'c', 'r', 'e', 't'}} {
		if _, ok := neighbor.ParseMark(neighbor.AppendMark(nil, mark(), vip4, ourMAC, key), vip4, ourMAC, secret); ok {
			t.Errorf("%x: a mark", key[:])
		}
	}
}

// Whoever has no key file has the zero key, and marks all the same.
func TestZeroKeyIsAllowed(t *testing.T) {
	if _, ok := neighbor.ParseMark(neighbor.AppendMark(nil, mark(), vip4, ourMAC, neighbor.Key{}), vip4, ourMAC, neighbor.Key{}); !ok {
		t.Error("no mark")
	}
}

// Without the key a claim is a foreign host's, a question is any host's, and the rest is
// nothing; the gate stays open.
func TestForgedMarksAreNone(t *testing.T) {
	for _, key := range []neighbor.Key{{}, {'g', 'u', 'e', 's', 's'}} {
		s := peer().Self()
		s.Key = key
		forger := neighbor.NewTable(s, []neighbor.Entry{
			{Addr: vip4, Voice: true, LeaseUID: epoch, Transitions: 1 << 30, Standing: neighbor.StandingLease},
			{Addr: vip6, Voice: true, LeaseUID: epoch, Transitions: 1 << 30, Standing: neighbor.StandingLease},
		})
		for _, addr := range []netip.Addr{vip4, vip6} {
			frames, _ := forger.Claim(addr, open(), 5)
			for _, frame := range frames {
				h := decide(frame).Heard
				if h.Sound != neighbor.HeardClaim || h.Marked || h.Mark != (neighbor.Mark{}) {
					t.Errorf("claim heard as %+v", h)
				}
				if e, _ := table().Lookup(addr); neighbor.Outranks(h, e, ourMAC) {
					t.Error("it outranks a voice")
				}
			}
			for kind := range words {
				word, _ := neighbor.Word(s, addr, ourMAC, neighbor.OwnAddress, neighbor.Mark{Kind: kind, Nonce: 5})
				v := decide(word)
				wantSilence(t, v)
				if v.Drop != neighbor.DropNone {
					t.Errorf("%v: %v, want the answer to any host", kind, v.Drop)
				} else if addr.Is4() && readARP(t, v.Reply).mark.Nonce != 0 {
					t.Errorf("%v: the nonce is taken", kind)
				}
			}
		}
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%s"} {
		s := fmt.Sprintf(verb, self())
		for _, leak := range []string{"secret", "115 101 99"} {
			if strings.Contains(s, leak) {
				t.Errorf("%s prints %s", verb, s)
			}
		}
	}
}

// The size of the option's value is a multiple of eight with its header (RFC 4861 section 4.6).
func TestMarkFitsAnOption(t *testing.T) {
	if n := len(neighbor.AppendMark(nil, mark(), vip6, ourMAC, secret)); (n+2)%8 != 0 {
		t.Errorf("%d octets", n)
	}
}

func TestMarkIsForOneAddressAndOneCard(t *testing.T) {
	b := neighbor.AppendMark(nil, mark(), vip4, ourMAC, secret)
	if _, ok := neighbor.ParseMark(b, mute4, ourMAC, secret); ok {
		t.Error("taken for another address")
	}
	if _, ok := neighbor.ParseMark(b, vip4, otherMAC, secret); ok {
		t.Error("taken for another card")
	}
}

func TestMarkWithAnyOctetChangedIsNone(t *testing.T) {
	good := neighbor.AppendMark(nil, mark(), vip4, ourMAC, secret)
	for i := range good {
		for bit := range 8 {
			b := append([]byte(nil), good...)
			b[i] ^= 1 << bit
			if _, ok := neighbor.ParseMark(b, vip4, ourMAC, secret); ok {
				t.Errorf("octet %d, bit %d: still a mark", i, bit)
			}
		}
		if _, ok := neighbor.ParseMark(good[:i], vip4, ourMAC, secret); ok {
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
		if _, ok := neighbor.ParseMark(neighbor.AppendMark(nil, m, vip4, ourMAC, secret), vip4, ourMAC, secret); ok {
			t.Errorf("%+v is a mark", m)
		}
	}
}

func TestRandomPaddingIsNoMark(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	magic := neighbor.AppendMark(nil, mark(), vip4, ourMAC, secret)[:6]
	b := make([]byte, 54)
	for range 100_000 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		copy(b, magic) // even where chance got the beginning right
		if _, ok := neighbor.ParseMark(b, vip4, ourMAC, secret); ok {
			t.Fatalf("%x is a mark", b)
		}
	}
}
