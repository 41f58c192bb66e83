// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// bench is a run.
type bench struct {
	*world
	options
	peers *peers
	began time.Time
	// folder holds what each scenario measured, for a run that goes on later.
	folder string
	// lasted is how long a fault was looked at in its last round: so long is the calm before the next.
	lasted map[string]time.Duration
}

// scenario is one thing that is measured.
type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) (result, error)
}

// scenarios lists all, in the order in which they run.
func scenarios() []scenario {
	var all []scenario
	for _, f := range faults() {
		all = append(all, scenario{f.name, func(ctx context.Context, b *bench) (result, error) { return b.fault(ctx, f) }})
	}
	return append(all,
		scenario{"idle", idle}, scenario{"spread", spread}, scenario{"thousand", thousand},
		scenario{"idle-many", idleMany}, scenario{"calm", calm})
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

func newBench(ctx context.Context, o options) (*bench, error) {
	root, err := cluster.SourceRoot()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, began: time.Now(), folder: filepath.Join(root, "bin", "bench", "failover"), lasted: map[string]time.Duration{}}
	if err := os.MkdirAll(b.folder, 0o755); err != nil {
		return nil, err
	}
	if b.world, err = newWorld(ctx, o); err != nil {
		return nil, err
	}
	if o.peers {
		dir, err := os.MkdirTemp("", "bench-keepalived-")
		if err != nil {
			return nil, err
		}
		b.peers = &peers{lab: b.lab, dir: dir, first: peerHosts[0], lasted: map[string]time.Duration{}}
	}
	return b, nil
}

func (b *bench) close() {
	if b.peers != nil {
		b.peers.stop()
		_ = os.RemoveAll(b.peers.dir)
	}
}

// say tells of the bench's progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%7.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// run goes through the scenarios. One that cannot be measured is told of and left out.
func (b *bench) run(ctx context.Context) error {
	var results []result
	var failed []string
	for _, s := range scenarios() {
		r, found := b.stored(s.name)
		named := slices.Contains(b.only, s.name)
		if !found && !named && len(b.only) > 0 {
			continue
		}
		if !found || named {
			b.say("%s ...", s.name)
			var err error
			if r, err = s.run(ctx, b); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				failed = append(failed, fmt.Sprintf("%s: %v", s.name, err))
				b.say("%s was not measured: %v", s.name, err)
				continue
			}
			if err := b.store(r); err != nil {
				return err
			}
		}
		results = append(results, r)
	}
	b.report(results, failed)
	return b.write(results)
}

func (b *bench) file(name string) string { return filepath.Join(b.folder, name+".json") }

// stored gives what an earlier run has measured, if this one goes on with it.
func (b *bench) stored(name string) (result, bool) {
	if !b.resume {
		return result{}, false
	}
	text, err := os.ReadFile(b.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return result{}, false
	}
	var r result
	if err = errors.Join(err, json.Unmarshal(text, &r)); err != nil {
		b.say("%s is measured again: %v", name, err)
		return result{}, false
	}
	for _, f := range faults() {
		if f.name == name {
			r.limits = f.limits
		}
	}
	return r, true
}

func (b *bench) store(r result) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.file(r.Name), text, 0o644)
}

// write writes the figures, one a line.
func (b *bench) write(results []result) error {
	var figures []figure.Figure
	for _, r := range results {
		figures = append(figures, r.figures()...)
	}
	f, err := os.Create(b.folder + ".jsonl")
	if err != nil {
		return err
	}
	return errors.Join(figure.WriteLines(f, figures), f.Close())
}

// report prints the tables, what does not hold, what was not measured and the time that all took.
func (b *bench) report(results []result, failed []string) {
	var faults, others [][]string
	var missed []figure.Figure
	for _, r := range results {
		if len(r.Rounds) > 0 {
			faults = append(faults, r.row())
		} else {
			others = append(others, r.lines()...)
		}
		for _, f := range r.figures() {
			if f.Holds != nil && !*f.Holds {
				missed = append(missed, f)
			}
		}
	}
	fmt.Printf("Times in milliseconds, IPv4 / IPv6, %d rounds. %s: medians, two voices the longest.\n\n", b.rounds, "keepalived")
	if len(faults) > 0 {
		fmt.Println(figure.Table(head, faults))
	}
	if len(others) > 0 {
		fmt.Println(figure.Table([]string{"what", "value", "target", "notes"}, others))
	}
	fmt.Printf("%d figures do not hold:\n", len(missed))
	for _, f := range missed {
		fmt.Printf("- %s\n", f)
	}
	for _, f := range failed {
		fmt.Printf("- not measured: %s\n", f)
	}
	fmt.Printf("\n%s in all; the figures are in %s.jsonl\n", time.Since(b.began).Round(time.Second), b.folder)
}
