// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/filter"
)

// slot is a socket that takes filters of at most room instructions, the one attached included
// while another takes its place.
type slot struct {
	room int
	code []bpf.Instruction // nil: detached
	log  []int             // the lengths that were attached
}

func (s *slot) attach(code []bpf.Instruction) error {
	if s.room > 0 && len(code)+len(s.code) > s.room {
		return unix.ENOMEM
	}
	s.code, s.log = code, append(s.log, len(code))
	return nil
}

func (s *slot) detach() error {
	s.code = nil
	return nil
}

func (s *slot) overflows() uint64 { return 0 }

// passes is whether a request for the address gets by.
func (s *slot) passes(t *testing.T, addr netip.Addr) bool {
	t.Helper()
	if s.code == nil {
		return true
	}
	code := make([]bpf.Instruction, len(s.code))
	for i, ins := range s.code {
		if _, ok := ins.(bpf.LoadExtension); ok {
			ins = bpf.LoadConstant{Dst: bpf.RegA, Val: 1}
		}
		code[i] = ins
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	b := append(make([]byte, 12), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, make([]byte, 16)...), addr.AsSlice()...)
	n, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func tableOf(addrs ...netip.Addr) *neighbor.Table {
	var es []neighbor.Entry
	for _, a := range addrs {
		es = append(es, neighbor.Entry{Addr: a, Voice: true})
	}
	return neighbor.NewTable(neighbor.Self{}, es)
}

func always(t *neighbor.Table) func() *neighbor.Table {
	return func() *neighbor.Table { return t }
}

func TestFilterFollowsTheTable(t *testing.T) {
	var f filters
	s := &slot{}
	f.add(filter.ARP, s)
	a, b := many(2)[0], many(2)[1]
	if n := f.fit(always(tableOf(a))); n != 1 || !s.passes(t, a) || s.passes(t, b) {
		t.Errorf("%d attached; %v passes %v, %v passes %v", n, a, s.passes(t, a), b, s.passes(t, b))
	}
	if f.widen(tableOf(a)); len(s.log) != 1 {
		t.Error("opened for an address it knows")
	}
	if f.widen(tableOf(a, b)); !s.passes(t, b) || !s.passes(t, one4) {
		t.Error("a new address is lost until there is a filter for it")
	}
	f.fit(always(tableOf(a, b)))
	if !s.passes(t, a) || !s.passes(t, b) || s.passes(t, one4) {
		t.Error("the filter of two addresses is not exact")
	}
	if n := f.fit(always(tableOf(b, a))); n != 0 {
		t.Error("the same filter was attached again")
	}
	if f.widen(tableOf(b)); s.passes(t, one4) {
		t.Error("opened for an address less")
	}
	f.fit(always(tableOf(b)))
	if s.passes(t, a) || !s.passes(t, b) {
		t.Error("an address that went still passes")
	}
	f.remove(filter.ARP, s)
	f.widen(tableOf(one4))
	if f.fit(always(tableOf(one4))); s.passes(t, one4) {
		t.Error("a socket that was removed got a filter")
	}
}

// A filter built of a table that is the last no more would drop what the new one added.
func TestFilterOfAnOldTableIsNotAttached(t *testing.T) {
	var f filters
	s := &slot{}
	f.add(filter.ARP, s)
	f.fit(always(tableOf(one4)))
	reads := 0
	racing := func() *neighbor.Table {
		if reads++; reads == 1 {
			return tableOf(many(1)...)
		}
		return tableOf(one4)
	}
	if n := f.fit(racing); n != 0 || !s.passes(t, one4) {
		t.Errorf("%d attached; the new table's address passes: %v", n, s.passes(t, one4))
	}
}

// net.core.optmem_max decides how much room there is.
func TestFilterFindsRoom(t *testing.T) {
	var scattered []netip.Addr
	for i := range 2000 {
		scattered = append(scattered, netip.AddrFrom4([4]byte{10, byte(i % 7), byte(i >> 3), byte(i * 37)}))
	}
	beside := netip.MustParseAddr("10.200.0.1")
	for _, tc := range []struct {
		room    int
		precise bool
	}{{0, true}, {5000, true}, {1500, true}, {200, true}, {70, false}, {5, false}} {
		var f filters
		s := &slot{room: tc.room, code: filter.General(filter.ARP).Code}
		if tc.room == 5 {
			s.code = nil
		}
		f.add(filter.ARP, s)
		f.fit(always(tableOf(scattered...)))
		for _, a := range scattered {
			if !s.passes(t, a) {
				t.Fatalf("room for %d: %v is lost", tc.room, a)
			}
		}
		if got := s.passes(t, beside); got == tc.precise {
			t.Errorf("room for %d: an address far away passes: %v", tc.room, got)
		}
		// Once more, now that there is a filter that takes room itself.
		f.widen(tableOf(append(scattered, beside)...))
		f.fit(always(tableOf(append(scattered, beside)...)))
		if !s.passes(t, beside) {
			t.Errorf("room for %d: the new address is lost", tc.room)
		}
	}
}

// Witnesses, and addresses that answer no ping, have no part in the filters of echo requests.
func TestWhichFilterKnowsAnEntry(t *testing.T) {
	for _, tc := range []struct {
		entry neighbor.Entry
		want  [filter.NumKinds]bool
	}{
		{neighbor.Entry{Addr: one4}, [filter.NumKinds]bool{filter.ARP: true}},
		{neighbor.Entry{Addr: one6, Witness: true}, [filter.NumKinds]bool{filter.NDP: true}},
		{neighbor.Entry{Addr: one4, Ping: true}, [filter.NumKinds]bool{filter.ARP: true, filter.Echo4: true}},
		{neighbor.Entry{Addr: one6, Ping: true}, [filter.NumKinds]bool{filter.NDP: true, filter.Echo6: true}},
	} {
		for k, want := range tc.want {
			if got := follows(filter.Kind(k), tc.entry); got != want {
				t.Errorf("%v, %+v: %v", filter.Kind(k), tc.entry, got)
			}
		}
	}
}

func TestErrorsNameTheRemedy(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{unix.ENETDOWN, "network is down: set the interface up (ip link set dev eth9 up)"},
		{unix.ENODEV, "no such device: this node has no interface eth9 now: plug it in or create it, or name another one in the pool's interfaces"},
		{unix.EMFILE, "too many open files: raise the limit of open files of the container (ulimit -n)"},
		{unix.EIO, "input/output error"},
	} {
		if got := remedy("eth9", tc.err); got.Error() != tc.want || !errors.Is(got, tc.err) {
			t.Errorf("%v", got)
		}
	}
	err := withNetRaw(func() error { return unix.EPERM })
	if !errors.Is(err, errNetRaw) || !errors.Is(err, unix.EPERM) {
		t.Errorf("a permission missing: %v", err)
	}
}

// What SetTable costs the control loop, with as many addresses as there may be, and what the
// filters of them cost another goroutine. Scattered ones are the worst case.
func BenchmarkFilters(b *testing.B) {
	var scattered []netip.Addr
	for i := range 5000 {
		scattered = append(scattered, netip.AddrFrom4([4]byte{10, byte(i * 7), byte(i >> 3), byte(i * 37)}))
	}
	for name, addrs := range map[string][]netip.Addr{"pool": many(5000), "scattered": scattered} {
		var f filters
		f.add(filter.ARP, &slot{})
		t := tableOf(addrs...)
		b.Run("fit/"+name, func(b *testing.B) {
			for b.Loop() {
				f.fit(always(t))
			}
		})
		b.Run("widen/"+name, func(b *testing.B) {
			for b.Loop() {
				f.widen(t)
			}
		})
	}
}
