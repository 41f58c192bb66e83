// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// fault is something that happens to the node that speaks for an address.
type fault struct {
	name, what string
	// before is done ahead of the moment from which is measured, inject at that moment, heal when all was seen.
	before, inject, heal func(ctx context.Context, b *bench, owner string) error
	// peer does the same to the keepalived that speaks; nil where there is no such thing.
	peer func(ctx context.Context, p *peers) error
	// during is how long to look at least.
	during time.Duration
	// moves says that another node must speak at the end, or nothing was measured.
	moves bool
	// streams says that TCP connections are watched too.
	streams bool
	// services is how many Services are looked at, each by one of its addresses; 0 is one Service by both.
	services int
	limits   limits
}

// limits are the targets of a fault; zero is none.
type limits struct {
	median, worst time.Duration
	// lossless asks for no lost request and no broken connection where that is possible at all.
	lossless, unmoved bool
}

// atMost bounds how long a fault is looked at that does not end.
const atMost = 25 * time.Second

// longestCalm is how long the noise is listened to at most.
const longestCalm = 20 * time.Second

// round is what one fault did.
type round struct {
	V4, V6 sight
	// Moves counts how often a Service changed its speaker.
	Moves int
}

// fault injects it some times, each time into the node that speaks then.
func (b *bench) fault(ctx context.Context, f fault) (result, error) {
	r := result{Name: f.name, What: f.what, limits: f.limits}
	unmoved := 0
	for i := range b.rounds {
		x, err := b.round(ctx, f, serviceNames(f.name, i, f.services))
		if err != nil {
			return r, fmt.Errorf("round %d: %w", i+1, err)
		}
		if err := b.kubectl(ctx, "delete", "services", "-l", "bench=small", "--wait=false"); err != nil {
			return r, err
		}
		b.say("%s, round %d: %s", f.name, i+1, x)
		if f.moves && x.Moves == 0 {
			unmoved++
		}
		r.Rounds = append(r.Rounds, x)
	}
	if f.moves {
		// Where nothing moved, what was measured is no move.
		r.Figures = append(r.Figures, figure.Lower(f.name+" rounds in which nothing moved", float64(unmoved), "rounds").AtMost(0))
	}
	if unmoved > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("nothing moved in %d rounds", unmoved))
	}
	if f.peer != nil && b.peers != nil {
		for i := range b.rounds {
			fast, slow, err := b.peers.round(ctx, f)
			if err != nil { // what was measured of ours stands
				b.say("%s, keepalived, round %d was not measured: %v", f.name, i+1, err)
				r.Notes = append(r.Notes, fmt.Sprintf("keepalived: round %d was not measured", i+1))
				break
			}
			b.say("%s, keepalived, round %d: 1 s: %s; 0.1 s: %s", f.name, i+1, slow, fast)
			r.Fast, r.Slow = append(r.Fast, fast), append(r.Slow, slow)
		}
	}
	return r, nil
}

// serviceNames names the Services of a round. They are new in each: what moves again and again within minutes is left
// alone for a while.
func serviceNames(fault string, round, n int) []string {
	var names []string
	for i := range max(n, 1) {
		names = append(names, fmt.Sprintf("%s-%d-%d", fault, round, i))
	}
	return names
}

// round goes once from calm through a fault to calm.
func (b *bench) round(ctx context.Context, f fault, services []string) (_ round, err error) {
	if err := b.settle(ctx); err != nil {
		return round{}, err
	}
	before, addrs, err := b.ready(ctx, services)
	if err != nil {
		return round{}, err
	}
	owner := before[0].Status.Node
	w, err := look(ctx, b.lab, addrs, f.streams)
	if err != nil {
		return round{}, err
	}
	calm := min(max(5*time.Second, b.lasted[f.name]), longestCalm)
	if err := sleep(ctx, calm); err != nil {
		return round{}, err
	}
	defer func() { // the next round finds everything whole
		if f.heal != nil {
			err = errors.Join(err, f.heal(ctx, b, owner))
		}
	}()
	if f.before != nil {
		if err := f.before(ctx, b, owner); err != nil {
			return round{}, err
		}
	}
	mark := time.Now()
	failed := f.inject(ctx, b, owner)
	waited := w.untilWell(ctx, mark, max(f.during, wellFor), max(f.during+5*time.Second, atMost))
	b.lasted[f.name] = time.Since(mark)
	sights, err := w.end(mark)
	if err = errors.Join(failed, waited, err); err != nil {
		return round{}, err
	}
	if f.heal != nil { // the API server may be away until then
		heal := f.heal
		f.heal = nil
		if err := heal(ctx, b, owner); err != nil {
			return round{}, err
		}
	}
	moves, err := b.moves(ctx, before)
	x := merge(sights)
	x.Moves = moves
	return x, err
}

// ready gives the announcements of some Services and the addresses to look at, once all of it is well.
func (b *bench) ready(ctx context.Context, services []string) ([]v1alpha1.VIPAnnouncement, []netip.Addr, error) {
	var manifests []string
	for _, name := range services {
		manifests = append(manifests, service(name))
	}
	if err := b.apply(ctx, manifests...); err != nil {
		return nil, nil, err
	}
	var all []v1alpha1.VIPAnnouncement
	var addrs []netip.Addr
	for i, name := range services {
		a, err := b.spoken(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, a)
		if len(services) == 1 {
			addrs = addresses(a)
		} else {
			addrs = append(addrs, addresses(a)[i%2])
		}
	}
	return all, addrs, b.serveFrom(ctx, all[0].Status.Node, services, addrs)
}

// moves counts the changes of speaker since then.
func (b *bench) moves(ctx context.Context, before []v1alpha1.VIPAnnouncement) (int, error) {
	moves := 0
	for _, old := range before {
		now, err := b.spoken(ctx, old.Name)
		if err != nil {
			return 0, err
		}
		moves += int(now.Status.Transitions - old.Status.Transitions)
	}
	return moves, nil
}

// merge makes one sight of each family: the worst times and the sum of what was lost.
func merge(sights map[netip.Addr]sight) round {
	var r round
	for addr, s := range sights {
		into := &r.V4
		if addr.Is6() {
			into = &r.V6
		}
		into.Outage, into.Cold, into.Voices = max(into.Outage, s.Outage), max(into.Cold, s.Cold), max(into.Voices, s.Voices)
		into.NoiseOutage, into.NoiseCold = max(into.NoiseOutage, s.NoiseOutage), max(into.NoiseCold, s.NoiseCold)
		into.Lost, into.Sent, into.Broken = into.Lost+s.Lost, into.Sent+s.Sent, into.Broken+s.Broken
		into.Endless = into.Endless || s.Endless
	}
	return r
}

func (s sight) String() string {
	return fmt.Sprintf("outage %s cold %s two voices %s lost %d of %d broken %d noise %s/%s",
		milliseconds(s.Outage, s.Endless), milliseconds(s.Cold, s.Endless), milliseconds(s.Voices, false), s.Lost, s.Sent, s.Broken,
		milliseconds(s.NoiseOutage, false), milliseconds(s.NoiseCold, false))
}

func (r round) String() string { return fmt.Sprintf("IPv4 %s; IPv6 %s; %d moves", r.V4, r.V6, r.Moves) }

func milliseconds(d time.Duration, endless bool) string {
	s := fmt.Sprintf("%d", d.Round(time.Millisecond).Milliseconds())
	if endless {
		s = ">" + s
	}
	return s
}

// inject makes a fault of the lab one that hits the owner.
func inject(f cluster.Fault) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, owner string) error { return b.lab.Fault(ctx, owner, f) }
}

// control makes a fault of the lab one of the control plane.
func control(f cluster.Fault) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, _ string) error { return b.lab.Fault(ctx, cluster.ControlPlane, f) }
}

// both does one thing and then the other, also when the first fails.
func both(one, other func(context.Context, *bench, string) error) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, owner string) error {
		return errors.Join(one(ctx, b, owner), other(ctx, b, owner))
	}
}
