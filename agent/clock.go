// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// bootTime reads the clock that counts from boot and through suspension
// (clock_gettime(2), CLOCK_BOOTTIME).
func bootTime() election.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("reading CLOCK_BOOTTIME: " + err.Error()) // the kernel has it since 2.6.39
	}
	return time.Duration(ts.Nano())
}
