// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

const (
	idleFor = time.Minute
	// idleTarget is writes for each node and second.
	idleTarget = 0.5
	nodes      = 3
)

// idle: what is written to the API while nothing happens, with one Service.
func idle(ctx context.Context, b *bench) (result, error) {
	r := result{Name: "idle", What: "API writes at one Service"}
	if err := b.settle(ctx); err != nil {
		return r, err
	}
	if _, _, err := b.ready(ctx, serviceNames("idle", 0, 1)); err != nil {
		return r, err
	}
	err := b.writes(ctx, &r, "1 Service")
	return r, err
}

// idleMany: the same with many Services.
func idleMany(ctx context.Context, b *bench) (result, error) {
	at := fmt.Sprintf("%d Services", b.many)
	r := result{Name: "idle-many", What: "API writes at " + at}
	err := b.within(ctx, crowd{name: "bench-many", size: b.many}, func() error { return b.writes(ctx, &r, at) })
	return r, err
}

// writes waits until the last changes are over, and counts for a minute.
func (b *bench) writes(ctx context.Context, r *result, at string) error {
	if err := sleep(ctx, 15*time.Second); err != nil {
		return err
	}
	from := time.Now()
	if err := sleep(ctx, idleFor); err != nil {
		return err
	}
	to := time.Now()
	all, err := b.lab.Writes(from, to)
	if err != nil {
		return err
	}
	agents, others, kinds := countWrites(all)
	seconds := to.Sub(from).Seconds()
	r.Figures = []figure.Figure{
		figure.Lower("API writes of an agent, idle, "+at, rounded(agents/seconds/nodes), "writes/s").AtMost(idleTarget),
		figure.Lower("API writes of the managers, idle, "+at, rounded(others/seconds), "writes/s"),
	}
	b.say("in %s at %s: %s", to.Sub(from).Round(time.Second), at, kinds)
	return nil
}

// rounded is to one decimal: a minute may hold one write more or less.
func rounded(x float64) float64 { return math.Round(x*10) / 10 }

// countWrites counts the agents' and the others' writes, and tells what they were about.
func countWrites(all []cluster.Write) (agents, others float64, kinds string) {
	counts := map[string]int{}
	for _, w := range all {
		if w.Account == "arpeggio-agent" {
			agents++
		} else {
			others++
		}
		counts[w.Account+" "+w.Verb+" "+w.Resource]++
	}
	return agents, others, strings.TrimPrefix(fmt.Sprint(counts), "map")
}

// calm: how often an address changes its speaker although there is no fault, on a machine that is as busy as four
// processes without a pause make it.
func calm(ctx context.Context, b *bench) (result, error) {
	r := result{Name: "calm", What: fmt.Sprintf("30 VIPs, no fault, load 4, %s", b.calm)}
	c := crowd{name: "bench-calm", size: 30}
	err := b.within(ctx, c, func() error {
		if err := sleep(ctx, 5*time.Second); err != nil {
			return err
		}
		before, err := b.transitions(ctx, c)
		if err != nil {
			return err
		}
		var busy []*exec.Cmd
		for range 4 {
			cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
			if err := cmd.Start(); err != nil {
				return err
			}
			busy = append(busy, cmd)
		}
		waiting := sleep(ctx, b.calm)
		after, err := b.transitions(ctx, c)
		for _, cmd := range busy {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		r.Figures = []figure.Figure{
			figure.Lower(fmt.Sprintf("takeovers without a fault, 30 VIPs, load 4, %d min", int(b.calm.Minutes())), float64(after-before), "takeovers").AtMost(0),
		}
		return errors.Join(waiting, err)
	})
	return r, err
}

// transitions is how often the Leases of a crowd have changed their holder, in all.
func (b *bench) transitions(ctx context.Context, c crowd) (int, error) {
	var leases coordinationv1.LeaseList
	if err := b.api.List(ctx, &leases, client.InNamespace(system), client.MatchingLabels{v1alpha1.LabelWatch: v1alpha1.WatchService}); err != nil {
		return 0, err
	}
	sum, found := 0, 0
	for _, l := range leases.Items {
		if !strings.HasPrefix(l.Name, "svc."+c.name+".") {
			continue
		}
		found++
		if l.Spec.LeaseTransitions != nil {
			sum += int(*l.Spec.LeaseTransitions)
		}
	}
	if found != c.size {
		return 0, fmt.Errorf("%d Leases of %d Services", found, c.size)
	}
	return sum, nil
}
