// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestTableTakesAddressesForWhatTheyMean(t *testing.T) {
	mapped := netip.AddrFrom16(vip4.As16())
	tab := neighbor.NewTable(self(), []neighbor.Entry{
		{Addr: mapped, Voice: true}, {Addr: vip6.WithZone("eth0")}, {}, {Addr: mute4}, {Addr: mute4, Voice: true},
	})
	if tab.Len() != 3 {
		t.Errorf("%d entries", tab.Len())
	}
	for _, a := range []netip.Addr{vip4, mapped, vip6, mute4} {
		if _, ok := tab.Lookup(a); !ok {
			t.Errorf("%v is missing", a)
		}
	}
	if e, _ := tab.Lookup(mute4); !e.Voice {
		t.Error("the last entry of an address does not count")
	}
	if v := tab.Decide(nil, request().frame(t), open()); v.Drop != neighbor.DropNone {
		t.Errorf("not answered: %v", v.Drop)
	}
}

func TestAllGivesEveryEntryOnce(t *testing.T) {
	want := append(entries(), neighbor.Entry{Addr: client4, Witness: true})
	all := neighbor.NewTable(self(), append(want, neighbor.Entry{Addr: vip4, Witness: true})).All()
	sorted := cmpopts.SortSlices(func(a, b neighbor.Entry) bool { return a.Addr.Less(b.Addr) })
	if diff := cmp.Diff(want, slices.Collect(all), sorted, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	n := 0
	for range all { // whoever has seen enough gets no more
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestGroupsAreCountedByAddress(t *testing.T) {
	a, b := netip.MustParseAddr("2001:db8:1::f0"), netip.MustParseAddr("2001:db8:2::f0") // one group
	tab := neighbor.NewTable(self(), []neighbor.Entry{
		{Addr: a, Voice: true}, {Addr: b, Join: true}, {Addr: mute6}, {Addr: vip4, Voice: true},
	})
	want := map[netip.Addr]int{solicitedNode(a): 2}
	if diff := cmp.Diff(want, tab.Groups(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if solicitedNode(mute6) != neighbor.SolicitedNode(mute6) {
		t.Errorf("group of %v: %v", mute6, neighbor.SolicitedNode(mute6))
	}
}

// hotFrames are what arrives most: questions answered, and questions for others.
func hotFrames(t testing.TB) map[string][]byte {
	dad, foreign, foreignNS := solicit(), request(), solicit()
	dad.src, dad.message = zero6, solicitation(vip6)
	foreign.tpa = foreign4
	foreignNS.message = solicitation(foreign6, sourceLL(clientMAC))
	marked4, _ := neighbor.Question(peer().Self(), vip4, ourMAC, neighbor.OwnAddress, neighbor.Mark{Nonce: 1})
	marked6, _ := neighbor.Question(peer().Self(), vip6, ourMAC, neighbor.OwnAddress, neighbor.Mark{Nonce: 1})
	return map[string][]byte{
		"ARP": request().frame(t), "NDP": solicit().frame(t), "DAD": dad.frame(t),
		"foreign ARP": foreign.frame(t), "foreign NDP": foreignNS.frame(t),
		"marked ARP": marked4, "marked NDP": marked6,
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	tab := table()
	buf := make([]byte, 0, neighbor.ReplySize)
	for name, frame := range hotFrames(t) {
		g := open()
		if n := testing.AllocsPerRun(1000, func() { tab.Decide(buf, frame, g) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestReplySizeIsTheLongestReply(t *testing.T) {
	longest := 0
	for _, frame := range hotFrames(t) {
		longest = max(longest, len(decide(frame).Reply))
	}
	if longest != neighbor.ReplySize {
		t.Errorf("longest reply %d octets, ReplySize %d", longest, neighbor.ReplySize)
	}
}

func TestDecideAppendsToTheReply(t *testing.T) {
	buf := []byte("kept")
	v := table().Decide(buf, request().frame(t), open())
	if string(v.Reply[:4]) != "kept" {
		t.Errorf("reply begins with %q", v.Reply[:4])
	}
	wantAnswer4(t, neighbor.Verdict{Reply: v.Reply[4:]}, clientMAC, client4)
}
