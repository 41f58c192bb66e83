// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// TestMutationsAreNoticed breaks one thing at a time, in the durations or around the
// machines, and wants the checks to find it: checks that notice nothing prove nothing.
func TestMutationsAreNoticed(t *testing.T) {
	const seeds = 1500
	one := func(change func(c *election.Config)) func(*election.Config, int) {
		return func(c *election.Config, node int) {
			if node == 0 {
				change(c)
			}
		}
	}
	all := func(change func(c *election.Config)) func(*election.Config, int) {
		return func(c *election.Config, _ int) { change(c) }
	}
	for name, m := range map[string]struct {
		Options
		want string
	}{
		"margin below zero":                   {Options{Config: all(func(c *election.Config) { c.Margin = -3 * time.Second })}, "two voices"},
		"one node's right outlives the Lease": {Options{Config: one(func(c *election.Config) { c.Margin = -time.Hour })}, "two voices"},
		"one node waits for half a Lease":     {Options{Config: one(func(c *election.Config) { c.LeaseDuration /= 2 })}, "two voices"},
		"nobody asks on the wire":             {Options{Config: all(func(c *election.Config) { c.AskTimes = 0 })}, "which answers"},
		"no bound for a gift":                 {Options{Config: all(func(c *election.Config) { c.GiveBound = time.Hour })}, "the Lease names"},
		"standbys read too seldom":            {Options{Config: all(func(c *election.Config) { c.BeatEvery = 20 * time.Second })}, "nobody speaks"},
		"the gate looks at the voice alone":   {Options{Flaw: GateBlind}, "two voices"},
		"clocks stand still in a pause":       {Options{Flaw: ClockStops}, "two voices"},
		"writes do not compare":               {Options{Flaw: NoCompare}, "two voices"},
		"every write counts as a success":     {Options{Flaw: SwapsBelieved}, "two voices"},
		"heartbeats read from a cache":        {Options{Flaw: StaleReads}, "two voices"},
		"nobody wakes the machine":            {Options{Flaw: NoTicks}, "nobody speaks"},
		"heartbeats are not read":             {Options{Flaw: NoFollows}, "nobody speaks"},
		"claims are not heard":                {Options{Flaw: DeafToClaims}, "both speak"},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(seeds) {
				m.Seed = seed
				if err := Run(m.Options).Err; err != nil && strings.Contains(err.Error(), m.want) {
					t.Logf("%v", err)
					return
				}
			}
			t.Errorf("%d schedules do not notice", seeds)
		})
	}
}
