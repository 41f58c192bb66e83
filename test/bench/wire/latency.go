// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
)

// kernel is what stands beside the ports.
const kernel = "kernel"

const (
	latencyTarget = 0.5 // ms, the p99
	growthTarget  = 10  // percent, of the p99
)

// row is what was measured of one port, and of the kernel on its veth.
type row struct {
	ours, kernels series
}

// latency measures how soon ports of each size and the kernel answer, at each rate.
func (b *bench) latency(ctx context.Context) error {
	for i, f := range families {
		for _, rate := range b.options.rates {
			rows := make([]row, len(b.nodes))
			for round := range b.options.seconds {
				for k := range b.nodes {
					k = (k + round) % len(b.nodes)
					n := b.nodes[k]
					first, second := &rows[k].ours, &rows[k].kernels
					ask, then := n.ours[i], n.kernels[i]
					if round%2 == 1 {
						first, second, ask, then = second, first, then, ask
					}
					if err := b.round(ctx, n.cables[i], ask, rate, first); err != nil {
						return err
					}
					if err := b.round(ctx, n.cables[i], then, rate, second); err != nil {
						return err
					}
				}
			}
			b.addRows(f, rate, rows)
			progress("%s at %d/s", f.name, rate)
		}
		if err := b.allocations(f, i); err != nil {
			return err
		}
	}
	s, err := b.many().status()
	b.add(figure.Lower(fmt.Sprintf("memory of a port with %d VIPs of each family (RSS)", b.many().vips), float64(s.RSS)/1024, "MiB").AtMost(64))
	return err
}

func (b *bench) round(ctx context.Context, c *cable, questions [][]byte, rate int, to *series) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a, err := c.send(load{questions: questions, rate: rate, last: time.Second})
	to.add(a)
	return err
}

// addRows makes figures of what was measured at one rate.
func (b *bench) addRows(f family, rate int, rows []row) {
	for k, n := range b.nodes {
		ours, kernels := rows[k].ours.summary(), rows[k].kernels.summary()
		name := fmt.Sprintf("%s at %d/s, %s: ", f.name, rate, count(n.vips))
		b.add(
			figure.Milliseconds(name+"p50", ours.p50).Beside(kernel, ms(kernels.p50)),
			figure.Milliseconds(name+"p99", ours.p99).AtMost(latencyTarget).Beside(kernel, ms(kernels.p99)),
			figure.Milliseconds(name+"worst", ours.worst).Beside(kernel, ms(kernels.worst)),
			figure.Lower(name+"lost", float64(ours.lost), "of "+fmt.Sprint(ours.sent)).AtMost(0).Beside(kernel, float64(kernels.lost)))
	}
	one, all := rows[0], rows[len(rows)-1]
	growth := func(a, b series) float64 { return percent(a.summary().p99, b.summary().p99) }
	b.add(
		figure.Lower(fmt.Sprintf("%s at %d/s: growth of the p99 from %d to %d VIPs", f.name, rate, b.few().vips, b.many().vips),
			growth(one.ours, all.ours), "%").AtMost(growthTarget).Beside(kernel, growth(one.kernels, all.kernels)),
		figure.Lower(fmt.Sprintf("%s at %d/s: noise of the p99", f.name, rate),
			math.Max(one.ours.noise(), all.ours.noise()), "%").Beside(kernel, math.Max(one.kernels.noise(), all.kernels.noise())))
}

// allocations counts what the port that speaks for most allocates while it answers.
func (b *bench) allocations(f family, i int) error {
	n := b.many()
	_, c, err := n.during(n.cables[i], load{questions: n.ours[i], rate: b.options.rates[len(b.options.rates)-1], last: time.Second})
	b.add(figure.Lower(f.name+": allocations per reply", math.Round(c.mallocs*10)/10, "").AtMost(0))
	return err
}

// announce measures how long it takes until the last of many VIPs was announced for the first time.
func (b *bench) announce(ctx context.Context) error {
	n := b.many()
	c := n.cables[0]
	c.drain()
	at, err := n.tell(cmdAnnounce)
	if err != nil {
		return err
	}
	var start int64
	if _, err := fmt.Sscan(at, &start); err != nil {
		return err
	}
	heard, last, in := map[[4]byte]bool{}, int64(0), newInbox()
	for end := time.Now().Add(10 * time.Second); len(heard) < announced && time.Now().Before(end); {
		frame, at, err := in.next(c.fd)
		if err != nil {
			return err
		}
		if frame == nil {
			if err := wait(ctx, poll); err != nil {
				return err
			}
			continue
		}
		if addr, ok := announcement(frame); ok && !heard[addr.As4()] {
			heard[addr.As4()], last = true, at
		}
	}
	if len(heard) < announced {
		return fmt.Errorf("%d of %d VIPs announced within 10 s", len(heard), announced)
	}
	b.add(figure.Milliseconds(fmt.Sprintf("time to announce %d VIPs", announced), time.Duration(last-start)).AtMost(2000))
	return wait(ctx, 12*time.Second) // for the rounds that follow
}
