// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/filter"
)

// How many echo requests of one family a port looks at. Pinging needs some a second; the rest is
// a flood, and must not keep ARP and neighbor discovery waiting.
const (
	echoRate  = 1000 // a second
	echoBurst = 200
)

// echoRetry is when a socket that failed is opened again.
const echoRetry = 5 * time.Second

// echoes are the echo sockets of a session: open while the table has an address that answers,
// and of no consequence for anything else when they fail. Used by the goroutine of Port.Run,
// but for the readers.
type echoes struct {
	port  *Port
	ifi   *net.Interface
	open  map[filter.Kind]*socket
	ended chan echoEnd
	retry <-chan time.Time
	err   error
	tasks sync.WaitGroup
}

// echoEnd is why a socket is no longer read.
type echoEnd struct {
	socket *socket
	err    error
}

func newEchoes(p *Port, ifi *net.Interface) *echoes {
	return &echoes{port: p, ifi: ifi, open: map[filter.Kind]*socket{}, ended: make(chan echoEnd)}
}

// follow opens the sockets that the table wants and closes those that it does not. After a
// failure nothing is opened until the time has come; timeHasCome: it has.
func (e *echoes) follow(ctx context.Context, t *neighbor.Table, timeHasCome bool) {
	var want [filter.NumKinds]bool
	for entry := range t.All() {
		want[filter.Echo4] = want[filter.Echo4] || follows(filter.Echo4, entry)
		want[filter.Echo6] = want[filter.Echo6] || follows(filter.Echo6, entry)
	}
	if timeHasCome {
		e.retry, e.err = nil, nil
	}
	for _, k := range []filter.Kind{filter.Echo4, filter.Echo6} {
		s := e.open[k]
		switch {
		case s != nil && !want[k]:
			e.shut(s)
		case s == nil && want[k] && e.retry == nil:
			e.dial(ctx, k)
		}
	}
	if !want[filter.Echo4] && !want[filter.Echo6] {
		e.err = nil
	}
}

func (e *echoes) dial(ctx context.Context, k filter.Kind) {
	var s *socket
	err := withNetRaw(func() (err error) {
		s, err = openSocket(e.ifi, k)
		return err
	})
	if err != nil {
		e.fail(fmt.Errorf("opening the socket of %v on %s: %w", k, e.ifi.Name, remedy(e.ifi.Name, err)))
		return
	}
	e.open[k] = s
	e.port.filters.add(k, s)
	e.tasks.Go(func() {
		end := echoEnd{socket: s, err: e.port.read(s)}
		select {
		case e.ended <- end:
		case <-ctx.Done():
		}
	})
}

// end takes note that a socket is no longer read. One that was closed meanwhile had to end.
func (e *echoes) end(x echoEnd) {
	if e.open[x.socket.kind] == x.socket {
		e.shut(x.socket)
		e.fail(x.err)
	}
}

func (e *echoes) fail(err error) {
	e.port.tally.echoErrors.Add(1)
	e.err = errors.Join(e.err, err)
	if e.retry == nil {
		e.retry = time.After(echoRetry)
	}
}

func (e *echoes) shut(s *socket) {
	delete(e.open, s.kind)
	e.port.tally.overflows.Add(s.overflows())
	e.port.filters.remove(s.kind, s)
	_ = s.Close()
}

// close closes all. The context of follow is to be over.
func (e *echoes) close() {
	for _, s := range e.open {
		e.shut(s)
	}
	e.tasks.Wait()
}
