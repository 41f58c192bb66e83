// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// sweepTick is how often Sweep sends what is due: many addresses have shorter intervals than a ticker can keep.
const sweepTick = 5 * time.Millisecond

// runSweep is Run for Sweep: its report counts questions, and nothing else.
func runSweep(ctx context.Context, c Config, started func()) (Report, error) {
	device, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return Report{}, fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	sources := map[bool]netip.Addr{} // by whether it is IPv4
	questions := make([][]byte, 0, len(c.Targets))
	for _, target := range c.Targets {
		source, ok := sources[target.Is4()]
		if !ok {
			if source, err = ownAddress(device, target); err != nil {
				return Report{}, err
			}
			sources[target.Is4()] = source
		}
		questions = append(questions, question(device.HardwareAddr, source, target))
	}
	socket, err := openPacket(device, 0)
	if err != nil {
		return Report{}, err
	}
	defer socket.Close()
	r := Report{Config: c, Started: time.Now(), Errors: map[string]int{}}
	started()
	paced(ctx, sweepTick, func() {
		for due := due(len(questions), c.Interval, time.Since(r.Started)); r.Sent < due; r.Sent++ {
			if _, err := socket.Write(questions[r.Sent%len(questions)]); err != nil {
				r.Errors[reason(err).Error()]++
			}
		}
	})
	r.Stopped = time.Now()
	return r, nil
}

// due is how many questions must have been sent after a time, when each of n is to be sent once per interval.
func due(n int, interval, after time.Duration) int {
	return int(float64(n) * (float64(after) / float64(interval)))
}
