// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// mutation breaks one rule.
type mutation struct {
	Options
	kinds []Kind // of the schedules that are to notice; the scripts always are
}

func rules(change func(c *election.Config)) Options {
	return Options{Election: func(c *election.Config, _ int) { change(c) }}
}

// first changes the rules of one node.
func first(change func(c *election.Config)) Options {
	return Options{Election: func(c *election.Config, node int) {
		if node == 0 {
			change(c)
		}
	}}
}

func ears(change func(c *detector.Config)) Options {
	return Options{Detector: func(c *detector.Config, _ int) { change(c) }}
}

var mutations = map[string]mutation{
	"margin below zero":                     {Options: rules(func(c *election.Config) { c.Margin = -3 * time.Second }), kinds: []Kind{Fabric, Faulty}},
	"the right to speak outlives the Lease": {Options: rules(func(c *election.Config) { c.Margin = -time.Hour }), kinds: []Kind{Fabric, Faulty}},
	"one node waits for half a Lease":       {Options: first(func(c *election.Config) { c.LeaseDuration /= 2 }), kinds: []Kind{Fabric, Faulty}},
	"elections do not ask on the wire":      {Options: rules(func(c *election.Config) { c.AskTimes = 0 }), kinds: []Kind{Faulty, APIAway}},
	"an interrupted voice asks nobody":      {Options: rules(func(c *election.Config) { c.ResumeTimes = 0 }), kinds: []Kind{Single, Faulty}},
	"no bound for a gift":                   {Options: rules(func(c *election.Config) { c.GiveBound = time.Hour }), kinds: []Kind{Faulty}},
	"standbys read too seldom":              {Options: rules(func(c *election.Config) { c.BeatEvery = 20 * time.Second }), kinds: []Kind{Fabric, Faulty}},
	"claims do not wait for their turn":     {Options: rules(func(c *election.Config) { c.RankStep = 0 }), kinds: []Kind{APIAway}},
	"no limit of flapping":                  {Options: rules(func(c *election.Config) { c.FlapLimit, c.FlapPause = 8, 0 })},
	"a swap is waited for endlessly":        {Options: rules(func(c *election.Config) { c.SwapWait = time.Hour }), kinds: []Kind{APIAway}},
	"the detector asks seldom":              {Options: ears(func(c *detector.Config) { c.Idle = 2 * time.Second }), kinds: []Kind{Single}},
	"a miss is not repeated":                {Options: ears(func(c *detector.Config) { c.Repeats, c.LossyRepeats = 0, 0 }), kinds: []Kind{Calm}},
	"no patience with late answers":         {Options: ears(func(c *detector.Config) { c.MinTimeout, c.MaxTimeout = 20*time.Microsecond, 20*time.Microsecond }), kinds: []Kind{Calm}},
	"lossy streams give verdicts":           {Options: ears(func(c *detector.Config) { c.TooMuchLoss = 1000 }), kinds: []Kind{Calm, Fabric}},
	"ghosts are not asked":                  {Options: ears(func(c *detector.Config) { c.GhostEvery, c.GhostLater = time.Hour, time.Hour }), kinds: []Kind{Single, APIAway}},
	"ghosts are asked seldom":               {Options: ears(func(c *detector.Config) { c.GhostEvery = 5 * time.Second }), kinds: []Kind{Single, APIAway}},
	"no broadcasts":                         {Options: Options{Flaw: NoBroadcasts}, kinds: []Kind{Calm}},
	"no vouching":                           {Options: Options{Flaw: NoVouching}, kinds: []Kind{Calm}},
	"no witnesses":                          {Options: Options{Flaw: NoWitnesses}, kinds: []Kind{Single}},
	"no detector":                           {Options: Options{Flaw: NoDetector}, kinds: []Kind{Single}},
	"the gate does not look at the loop":    {Options: Options{Flaw: GateWithoutTick}, kinds: []Kind{Single}},
	"an interrupted voice goes on":          {Options: Options{Flaw: GateMuted}, kinds: []Kind{Single}},
	"the port forgets higher voices":        {Options: Options{Flaw: GateForgets}, kinds: []Kind{Planned, Faulty, Single, APIAway}},
	"interruptions are not told":            {Options: Options{Flaw: NoInterruption}, kinds: []Kind{Single}},
	"writes do not compare":                 {Options: Options{Flaw: NoCompare}, kinds: []Kind{Faulty, DualLAN}},
	"every write counts as a success":       {Options: Options{Flaw: SwapsBelieved}, kinds: []Kind{Faulty}},
	"heartbeats are read from a cache":      {Options: Options{Flaw: StaleReads}, kinds: []Kind{Fabric, Faulty}},
	"nobody wakes the elections":            {Options: Options{Flaw: NoTicks}, kinds: []Kind{Single}},
	"heartbeats are not read":               {Options: Options{Flaw: NoFollows}, kinds: []Kind{Fabric, Faulty}},
	"elections' questions are lost":         {Options: Options{Flaw: NoQuestions}, kinds: []Kind{Faulty, Single}},
	"new voices do not announce":            {Options: Options{Flaw: NoClaims}, kinds: []Kind{APIAway, Faulty}},
	"elections hear no voices":              {Options: Options{Flaw: DeafToClaims}, kinds: []Kind{Planned, Faulty}},
	"standing is ignored":                   {Options: Options{Flaw: StandingIgnored}, kinds: []Kind{APIAway}},
	"verdicts are not heard":                {Options: Options{Flaw: DeafToVerdicts}, kinds: []Kind{Single}},
	"farewells are not heard":               {Options: Options{Flaw: DeafToFarewells}, kinds: []Kind{APIAway}},
	"ghosts are not told":                   {Options: Options{Flaw: NoGhostClaims}, kinds: []Kind{Single, APIAway}},
	"speakers know of no contact":           {Options: Options{Flaw: NoContact}, kinds: []Kind{APIAway}},
	"holders are always audible":            {Options: Options{Flaw: AlwaysAudible}, kinds: []Kind{Fabric}},
	"nothing is kept on disk":               {Options: Options{Flaw: NoRecall}, kinds: []Kind{APIAway}},
	"successors inherit nothing":            {Options: Options{Flaw: NoInheritance}, kinds: []Kind{Upgrade}},
	"lost carriers are not told":            {Options: Options{Flaw: ServesAll}, kinds: []Kind{DualLAN, Single}},
	"who leaves does not say so":            {Options: Options{Flaw: LeavingUnsaid}, kinds: []Kind{Planned}},
	"nobody is displaced":                   {Options: Options{Flaw: NoDisplacement}},
}

// unnoticed are rules whose absence changes no figure here; each says why it stays.
var unnoticed = map[string]mutation{
	// The limit of flapping ends the to and fro as well, a little later.
	"a receiver is forgiven at once": {Options: rules(func(c *election.Config) { c.FailedFor = time.Millisecond })},
	// What was heard meanwhile is handed over before the late tick, and clears the doubt.
	"late loops give verdicts": {Options: ears(func(c *detector.Config) { c.Late = time.Hour })},
	// The detector clears it when the speaker is heard, and repeats it when not.
	"verdicts never grow old": {Options: rules(func(c *election.Config) { c.VerdictFresh = time.Hour })},
	// The machine ends the voice itself at that time, if its loop lives; and it must.
	"the gate does not look at heartbeats": {Options: Options{Flaw: GateWithoutEcho}},
	// What waits in a socket waits behind a loop that stood still too, and that shuts the gate.
	"old frames are answered": {Options: Options{Flaw: GateWithoutAge}},
	// It spares reads of heartbeats, nothing else.
	"holders are never audible": {Options: Options{Flaw: NeverAudible}},
	// It chooses between candidates; time decides first.
	"kube-proxy is not asked": {Options: Options{Flaw: ReadyAlways}},
}

// noticed plays scripts and schedules until one fails that does not fail otherwise.
func (m mutation) noticed(t *testing.T, played map[string]Script, schedules uint64) string {
	t.Helper()
	names := make([]string, 0, len(played))
	for name := range played {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for i := range uint64(3) {
			o := m.Options
			o.Seed = played[name].Seed + i
			if err := Run(played[name], o).Err; err != nil {
				return name + ": " + err.Error()
			}
		}
	}
	for seed := range schedules {
		for _, k := range m.kinds {
			s := Draw(k, seed)
			if err := Run(s, m.Options).Err; err != nil {
				return s.Comment[0] + " " + err.Error()
			}
		}
	}
	return ""
}

// TestMutationsAreNoticed breaks one rule at a time, and wants a script or a schedule to find
// it: checks that notice nothing prove nothing.
func TestMutationsAreNoticed(t *testing.T) {
	played := scripts(t)
	for name, m := range mutations {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if err := m.noticed(t, played, 400); err != "" {
				t.Log(err)
				return
			}
			t.Errorf("neither scripts nor schedules notice")
		})
	}
}

// TestUnnoticedMutations: once a script notices one of them, it belongs to the others.
func TestUnnoticedMutations(t *testing.T) {
	played := scripts(t)
	for name, m := range unnoticed {
		if err := m.noticed(t, played, 0); err != "" {
			t.Errorf("%s: is noticed by %s", name, err)
		}
	}
}
