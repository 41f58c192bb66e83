// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// drainAnnotation on a node takes it out, handing over what it speaks for.
const drainAnnotation = "arpeggio.dev/drain"

const (
	shortAway = 60 * time.Second
	hung      = 10 * time.Second
	frozen    = 2 * time.Second
)

// faults are the scenarios in which something happens to the node that speaks.
func faults() []fault {
	takeover := limits{median: 300 * time.Millisecond, worst: 600 * time.Millisecond}
	slowTakeover := limits{median: time.Second, worst: time.Second}
	planned := limits{lossless: true}
	return []fault{
		{
			name: "crash", what: "the owner loses power", moves: true, limits: takeover,
			inject: inject(cluster.Crash), heal: restore,
			peer: func(ctx context.Context, p *peers) error { return p.lab.Fault(ctx, p.first, cluster.Crash) },
		},
		{
			name: "kill", what: "SIGKILL of the owner's agent", limits: takeover, during: 5 * time.Second,
			inject: inject(cluster.KillAgent),
			peer:   func(_ context.Context, p *peers) error { return p.signal(syscall.SIGKILL) },
		},
		{
			name: "hang", what: "SIGSTOP of the owner's agent for 10 s", limits: takeover, during: hung + 3*time.Second,
			inject: pause(hung), heal: inject(cluster.ResumeAgent),
			peer: func(ctx context.Context, p *peers) error { return p.pause(ctx, hung) },
		},
		{
			name: "hang-1s", what: "the same for 1 s", limits: takeover, during: 4 * time.Second,
			inject: pause(time.Second), heal: inject(cluster.ResumeAgent),
			peer: func(ctx context.Context, p *peers) error { return p.pause(ctx, time.Second) },
		},
		{
			name: "cable", what: "the owner's LAN link loses its carrier", moves: true, limits: takeover,
			inject: inject(cluster.LinkDown), heal: inject(cluster.LinkUp),
			peer: func(ctx context.Context, p *peers) error { return p.lab.Fault(ctx, p.first, cluster.LinkDown) },
		},
		{
			name: "port-blocked", what: "the owner is cut off from the LAN, its carrier stays", moves: true, limits: takeover,
			inject: inject(cluster.CutLAN), heal: inject(cluster.HealLAN),
			peer: func(ctx context.Context, p *peers) error { return p.lab.Fault(ctx, p.first, cluster.CutLAN) },
		},
		{
			name: "drain", what: "the owner is annotated " + drainAnnotation, moves: true, streams: true, limits: planned, during: 8 * time.Second,
			inject: func(ctx context.Context, b *bench, owner string) error {
				return b.kubectl(ctx, "annotate", "node", owner, drainAnnotation+"=bench")
			},
			heal: func(ctx context.Context, b *bench, owner string) error {
				return b.kubectl(ctx, "annotate", "node", owner, drainAnnotation+"-")
			},
		},
		{
			name: "sigterm", what: "the owner's agent pod is deleted", streams: true, limits: planned, during: 8 * time.Second,
			inject: func(ctx context.Context, b *bench, owner string) error {
				pod, err := b.agent(ctx, owner)
				if err != nil {
					return err
				}
				return b.kubectl(ctx, "-n", system, "delete", "pod", pod, "--wait=false")
			},
			peer: func(_ context.Context, p *peers) error { return p.signal(syscall.SIGTERM) },
		},
		{
			name: "upgrade", what: "all agents are replaced, three Services", streams: true, services: 3,
			limits: limits{lossless: true, unmoved: true},
			inject: func(ctx context.Context, b *bench, _ string) error {
				return errors.Join(
					b.kubectl(ctx, "-n", system, "rollout", "restart", "daemonset/arpeggio-agent"),
					b.kubectl(ctx, "-n", system, "rollout", "status", "daemonset/arpeggio-agent", "--timeout=120s"))
			},
		},
		{
			name: "api-refused", what: "API server away for 60 s, connections are refused", limits: limits{lossless: true, unmoved: true},
			during: shortAway + 10*time.Second, inject: away(cluster.Stop, cluster.Start), heal: control(cluster.Start),
		},
		{
			name: "api-blackhole", what: "API server away for 60 s, packets vanish", limits: limits{lossless: true, unmoved: true},
			during: shortAway + 10*time.Second, inject: away(cluster.Blackhole, cluster.Heal), heal: control(cluster.Heal),
		},
		{
			name: "api-crash", what: "the owner crashes while the API server is away", limits: slowTakeover,
			before: func(ctx context.Context, b *bench, owner string) error {
				return errors.Join(control(cluster.Stop)(ctx, b, owner), sleep(ctx, 8*time.Second))
			},
			inject: inject(cluster.Crash), heal: both(control(cluster.Start), restore),
		},
		{
			name: "beside-api", what: "the owner crashes, etcd and the API server stand still for 2 s", moves: true, limits: slowTakeover,
			before: control(cluster.Freeze),
			inject: func(ctx context.Context, b *bench, owner string) error {
				return errors.Join(inject(cluster.Crash)(ctx, b, owner), sleep(ctx, frozen), control(cluster.Thaw)(ctx, b, owner))
			},
			heal: both(control(cluster.Thaw), restore),
		},
	}
}

// pause stops the owner's agent for a while.
func pause(d time.Duration) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, owner string) error {
		return errors.Join(b.lab.Fault(ctx, owner, cluster.PauseAgent), sleep(ctx, d), b.lab.Fault(ctx, owner, cluster.ResumeAgent))
	}
}

// away takes the API server away and brings it back.
func away(gone, back cluster.Fault) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, owner string) error {
		return errors.Join(control(gone)(ctx, b, owner), sleep(ctx, shortAway), control(back)(ctx, b, owner))
	}
}

// restore starts the crashed node, and waits until its agent runs again.
func restore(ctx context.Context, b *bench, owner string) error {
	if err := b.lab.Fault(ctx, owner, cluster.Restore); err != nil {
		return err
	}
	return until(ctx, settleTimeout, func() error { return b.lab.Fault(ctx, owner, cluster.ResumeAgent) })
}
