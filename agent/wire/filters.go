// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/filter"
)

// filtered is what filters need of a socket.
type filtered interface {
	attach(code []bpf.Instruction) error
	detach() error
	overflows() uint64
}

// filters has the filters of a port's sockets follow its table. They are attached in place of
// each other in one step, so no frame gets around them, and none is lost that the table would
// judge: an address that the present filter does not know opens it for everything at once,
// until one is built that does.
type filters struct {
	mu      sync.Mutex // guards what follows
	sockets [filter.NumKinds]filtered
	current [filter.NumKinds]filter.Filter
	limit   [filter.NumKinds]int // of instructions; what the kernel has room for
}

// add takes a socket that has the general filter, or none.
func (f *filters) add(k filter.Kind, s filtered) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sockets[k], f.current[k], f.limit[k] = s, filter.General(k), filter.MaxInstructions
}

// remove forgets the socket, if it is still the one.
func (f *filters) remove(k filter.Kind, s filtered) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sockets[k] == s {
		f.sockets[k] = nil
	}
}

// overflows is how many frames found a queue full since it was asked last.
func (f *filters) overflows() (n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sockets {
		if s != nil {
			n += s.overflows()
		}
	}
	return n
}

// follows tells whether the filter of the kind is to know the entry.
func follows(k filter.Kind, e neighbor.Entry) bool {
	switch k {
	case filter.ARP:
		return e.Addr.Is4()
	case filter.NDP:
		return e.Addr.Is6()
	case filter.Echo4:
		return e.Addr.Is4() && e.Ping
	default:
		return e.Addr.Is6() && e.Ping
	}
}

// widen opens those filters that would drop what the table knows. It is quick: the control
// loop waits for it.
func (f *filters) widen(t *neighbor.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var narrow [filter.NumKinds]bool
	for e := range t.All() {
		for k := range filter.NumKinds {
			if f.sockets[k] != nil && !narrow[k] && follows(k, e) {
				narrow[k] = !f.current[k].Covers(e.Addr, e.Witness)
			}
		}
	}
	for k := range filter.NumKinds {
		if narrow[k] {
			f.open(k)
		}
	}
}

// open attaches the general filter. Where the kernel has no room even for that one, none: the
// table judges everything.
func (f *filters) open(k filter.Kind) {
	f.current[k] = filter.General(k)
	if f.sockets[k].attach(f.current[k].Code) != nil {
		// A socket that takes neither is closed, and its reader says so.
		_ = f.sockets[k].detach()
	}
}

// fit builds the filters of the table and attaches them, unless the table is another one by
// then: whoever sets it has them fitted again. It gives the number of filters attached.
func (f *filters) fit(table func() *neighbor.Table) (attached int) {
	t := table()
	var asked, witnesses [filter.NumKinds][]netip.Addr
	for e := range t.All() {
		for k := range filter.NumKinds {
			switch {
			case !follows(k, e):
			case e.Witness:
				witnesses[k] = append(witnesses[k], e.Addr)
			default:
				asked[k] = append(asked[k], e.Addr)
			}
		}
	}
	for k := range filter.NumKinds {
		if f.fitOne(k, filter.NewSet(asked[k]), filter.NewSet(witnesses[k]), func() bool { return table() == t }) {
			attached++
		}
	}
	return attached
}

// leastLimit is where a filter of addresses is given up for the general one.
const leastLimit = 64

// fitOne tries ever coarser filters while the kernel has no room for them: it lets the options
// of a socket take net.core.optmem_max octets, and counts the old filter while the new one
// takes its place.
func (f *filters) fitOne(k filter.Kind, asked, witnesses filter.Set, valid func() bool) bool {
	for {
		f.mu.Lock()
		s, limit, there := f.sockets[k], f.limit[k], f.current[k].Of(asked, witnesses)
		f.mu.Unlock()
		if s == nil || there || limit < leastLimit {
			return false
		}
		built := filter.Build(k, asked, witnesses, limit) // without the lock: it takes its time
		done, again := f.replace(k, s, built, valid)
		if !again {
			return done
		}
	}
}

func (f *filters) replace(k filter.Kind, s filtered, by filter.Filter, valid func() bool) (done, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sockets[k] != s || !valid() {
		return false, false
	}
	err := s.attach(by.Code)
	if errors.Is(err, unix.ENOMEM) {
		f.open(k) // makes room, too
		err = s.attach(by.Code)
	}
	switch {
	case err == nil:
		f.current[k] = by
		return true, false
	case errors.Is(err, unix.ENOMEM):
		f.limit[k] /= 2
		return false, true
	}
	return false, false
}
