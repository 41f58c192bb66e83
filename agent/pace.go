// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A node that takes over a thousand VIPs must go on hearing and answering meanwhile, and so must the
// API server: Leases are written maxWrites at a time, and writeRate a second once as many have been.
// Those whose write is late are claimed on the wire. What is given is read twice by who gets it:
// readRate a second, after readBurst at once.
const (
	maxWrites = 32
	writeRate = 200
	readBurst = 64
	readRate  = 500
)

const (
	// rushHour is how many writes of Leases under way, or waiting for their turn, make what is told
	// to people wait: when a thousand VIPs move, the addresses go first.
	rushHour  = 16
	rushLook  = 20 * time.Millisecond
	rushBound = 3 * time.Second
)

// errOvertaken is why a write was given up while it waited for its turn.
var errOvertaken = errors.New("another node was first")

// pace gives calls about Leases their turn. Any goroutine may call it.
type pace struct {
	slots         chan struct{} // holds one for each write under way
	writes, reads *rate.Limiter
	undone        atomic.Int32 // writes that are not done yet
}

func newPace() *pace {
	return &pace{
		slots:  make(chan struct{}, maxWrites),
		writes: rate.NewLimiter(writeRate, maxWrites),
		reads:  rate.NewLimiter(readRate, readBurst),
	}
}

// write waits for the turn of a write; unless it was overtaken meanwhile, done is to be called after it.
func (p *pace) write(ctx context.Context, overtaken <-chan struct{}) (done func(), err error) {
	p.undone.Add(1)
	defer func() {
		if err != nil {
			p.undone.Add(-1)
		}
	}()
	select {
	case p.slots <- struct{}{}:
	case <-overtaken:
		return nil, errOvertaken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	reserved := p.writes.Reserve()
	turn := time.NewTimer(reserved.Delay())
	defer turn.Stop()
	select {
	case <-turn.C:
		return func() {
			<-p.slots
			p.undone.Add(-1)
		}, nil
	case <-overtaken:
		err = errOvertaken
	case <-ctx.Done():
		err = ctx.Err()
	}
	reserved.Cancel()
	<-p.slots
	return nil, err
}

// read waits for the turn of a read.
func (p *pace) read(ctx context.Context) error { return p.reads.Wait(ctx) }

// calm returns once few writes are not done, or after rushBound. A nil pace is calm.
func (p *pace) calm(ctx context.Context) {
	if p == nil {
		return
	}
	for end := time.Now().Add(rushBound); p.undone.Load() >= rushHour && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rushLook):
		}
	}
}
