// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Boottime reads the boot clock (CLOCK_BOOTTIME), which goes on while the machine is
// suspended and is never set.
func Boottime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// Linux has had the clock since 2.6.39; without it no gate may open.
		return 0
	}
	return time.Duration(ts.Nano())
}

// Pulse carries the signs of life of the control loop to the ports, which must not wait
// for it. One Pulse serves all ports of an agent. The zero Pulse keeps every gate shut.
// Its methods may be called from any goroutine.
type Pulse struct {
	tick, echo atomic.Int64 // readings of the boot clock, nanoseconds
}

// Tick says that the control loop runs, at now by the boot clock.
func (p *Pulse) Tick(now time.Duration) { p.tick.Store(int64(now)) }

// EchoUntil says until when the heartbeat is known to be fresh, by the boot clock.
func (p *Pulse) EchoUntil(until time.Duration) { p.echo.Store(int64(until)) }

// Gate is the gate at now for a frame of that age, without what was heard of rivals.
func (p *Pulse) Gate(now, age time.Duration) neighbor.Gate {
	return neighbor.Gate{
		Now: now, FrameAge: age,
		Tick: time.Duration(p.tick.Load()), EchoUntil: time.Duration(p.echo.Load()),
	}
}
