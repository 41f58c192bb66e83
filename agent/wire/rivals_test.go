// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestRivalsOfAPortAreForgottenAndFreeItsLock(t *testing.T) {
	mine := neighbor.Entry{Addr: one4, Voice: true}
	claim := neighbor.Heard{Sound: neighbor.HeardClaim, Addr: one4, Marked: true, Mark: neighbor.Mark{Transitions: 1}}
	var r rivals
	now := time.Second
	if r.Outrank(mine, neighbor.MAC{2}, now) {
		t.Error("outranked by nobody")
	}
	r.hear(claim, mine, neighbor.MAC{2}, now)
	if !r.Outrank(mine, neighbor.MAC{2}, now+1) || !r.some.Load() {
		t.Error("not outranked by what was heard")
	}
	if r.Outrank(mine, neighbor.MAC{2}, now+neighbor.RivalLimit) || r.some.Load() {
		t.Error("remembered for too long")
	}
}

// Two readers and the announcer at once: for the race detector.
func TestRivalsMayBeUsedByManyAtOnce(t *testing.T) {
	mine := neighbor.Entry{Addr: one4, Voice: true}
	claim := neighbor.Heard{Sound: neighbor.HeardClaim, Addr: one4, Marked: true, Mark: neighbor.Mark{Transitions: 1}}
	var r rivals
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for now := time.Second; now < 2*time.Second; now += neighbor.RivalLimit / 3 {
				r.hear(claim, mine, neighbor.MAC{2}, now)
				if !r.Outrank(mine, neighbor.MAC{2}, now) {
					t.Error("not outranked by what was just heard")
				}
			}
		})
	}
	readers.Wait()
}

func TestPortIsSilentForAHigherVoice(t *testing.T) {
	pulse := &Pulse{}
	now := time.Hour
	pulse.Tick(now)
	p, err := New(Config{Interface: "eth0", Pulse: pulse, Clock: func() time.Duration { return now }})
	if err != nil {
		t.Fatal(err)
	}
	mine := neighbor.Entry{Addr: one4, Voice: true}
	table := neighbor.NewTable(neighbor.Self{MAC: neighbor.MAC{2}}, []neighbor.Entry{mine})
	p.SetTable(table)
	claims := func() bool {
		_, ok := table.Claim(one4, p.gate(now, 0), 1)
		return ok
	}
	if !claims() {
		t.Fatal("the gate is shut from the start")
	}
	p.rivals.hear(neighbor.Heard{Sound: neighbor.HeardClaim, Addr: one4, Marked: true, Mark: neighbor.Mark{Transitions: 1}}, mine, neighbor.MAC{2}, now)
	if claims() {
		t.Error("claims beside a higher voice")
	}
	now += neighbor.RivalLimit
	if pulse.Tick(now); !claims() {
		t.Error("silent for good")
	}
}
