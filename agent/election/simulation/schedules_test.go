// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// schedules is how many seeds are played in all; ARPEGGIO_SIM_SCHEDULES overrides it,
// ARPEGGIO_SIM_SEED is the first of each kind, and with it alone one of each is played.
const schedules = 2000

// shares says how much of all each kind gets, in hundredths.
var shares = [Kinds]int{Faulty: 30, Edge: 10, Single: 15, Planned: 5, Calm: 10, APIAway: 10, Fabric: 5, DualLAN: 10, Upgrade: 5}

// TestMain has less garbage collected: runs are short.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

func setting(t *testing.T, name string) (uint64, bool) {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n, true
}

// play plays many seeds and gives the worst of each figure; found gets each violation.
func play(kind Kind, first, n uint64, o Options, found func(Script, Result)) Result {
	var worst Result
	var lock sync.Mutex
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				s := Draw(kind, seed)
				r := Run(s, o)
				lock.Lock()
				if r.Err != nil {
					found(s, r)
				}
				worst.worst(r)
				lock.Unlock()
			}
		})
	}
	for i := range n {
		seeds <- first + i
	}
	close(seeds)
	wg.Wait()
	return worst
}

// TestSchedules plays schedules of every kind. What fails is shown as the smallest script
// that still fails.
func TestSchedules(t *testing.T) {
	total, given := setting(t, "ARPEGGIO_SIM_SCHEDULES")
	if !given {
		total = schedules
	}
	first, alone := setting(t, "ARPEGGIO_SIM_SEED")
	for kind := range Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			n := max(1, total*uint64(shares[kind])/100)
			if alone && !given {
				n = 1
			}
			begin, failures := time.Now(), map[string]int{}
			worst := play(kind, first, n, Options{Brief: true}, func(s Script, r Result) {
				v := Violates(r.Err)
				if failures[v]++; failures[v] > 1 {
					return
				}
				small := Shrink(s, Options{})
				r = Run(small, Options{Trace: true})
				lines := strings.Split(r.Trace, "\n")
				t.Errorf("%v\n%s\n%s", r.Err, small.Format(), strings.Join(lines[max(0, len(lines)-120):], "\n"))
			})
			t.Logf("%d schedules in %s, failed %v: %s", n, time.Since(begin).Round(time.Millisecond), failures, worst)
		})
	}
}

// TestSameSeedSameRun: a seed that fails can be looked at.
func TestSameSeedSameRun(t *testing.T) {
	for kind := range Kinds {
		for seed := range uint64(5) {
			s := Draw(kind, seed)
			a, b := Run(s, Options{Trace: true}), Run(s, Options{Trace: true})
			if a.Trace != b.Trace {
				t.Fatalf("%s %d runs in two ways:\n%s\n\n%s", kind, seed, a.Trace, b.Trace)
			}
			parsed, err := Parse(s.Format())
			if err != nil {
				t.Fatal(err)
			}
			if c := Run(parsed, Options{Trace: true}); a.Trace != c.Trace {
				t.Fatalf("%s %d runs otherwise as text:\n%s", kind, seed, s.Format())
			}
		}
	}
}
