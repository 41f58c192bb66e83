// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
)

// steps are the rates at which it is looked for the highest one that is answered without loss.
var steps = []int{100, 1000, 5000, 10000, 20000, 30000, 40000, 60000, 80000, 100000, 120000, 150000, 200000}

// highest finds the highest rate answered without loss. A rate gets a second chance, as one pause of the machine is
// enough to lose a frame.
func (b *bench) highest(ctx context.Context) error {
	n := b.many()
	for i, f := range families {
		reached := [2]int{}
		for who, questions := range [][][]byte{n.ours[i], n.kernels[i]} {
			for _, rate := range steps {
				if rate > b.options.most {
					break
				}
				ok := false
				for try := 0; try < 2 && !ok; try++ {
					if err := ctx.Err(); err != nil {
						return err
					}
					a, err := n.cables[i].send(load{questions: questions, rate: rate, last: time.Second})
					if err != nil {
						return err
					}
					ok = a.lost() == 0 && float64(a.sent) > 0.95*float64(rate)*a.took.Seconds()
				}
				if !ok {
					break
				}
				reached[who] = rate
			}
		}
		b.add(figure.Figure{
			Name:  fmt.Sprintf("%s: highest rate answered without loss, %d VIPs", f.name, n.vips),
			Value: float64(reached[0]), Unit: "/s", Better: "higher",
		}.Beside(kernel, float64(reached[1])))
	}
	return nil
}

const (
	own       = 1000 // requests for VIPs a second during the flood
	floodGoal = 2    // ms, the p99
)

// flood measures the answers to requests for VIPs among a hundred times as many for others, and what those cost: with
// the filters, then without.
func (b *bench) flood(ctx context.Context) error {
	n, flooding := b.many(), b.options.flood
	last := time.Duration(b.options.seconds) * time.Second
	type measured struct {
		calm, filtered, bare cost
		ours, kernels, open  series
		foreign              float64 // a second, as many as the generator got rid of
	}
	all := make([]measured, len(families))
	for i := range families {
		m := &all[i]
		plain := load{questions: n.ours[i], rate: own, last: last}
		flooded := plain
		flooded.foreign, flooded.flood = n.foreign[i], flooding
		kernels := flooded
		kernels.questions = n.kernels[i]
		var err error
		if _, m.calm, err = n.during(n.cables[i], plain); err != nil {
			return err
		}
		var a answers
		if a, m.filtered, err = n.during(n.cables[i], flooded); err != nil {
			return err
		}
		m.ours.add(a)
		m.foreign = float64(a.foreign) / a.took.Seconds()
		if a, err = n.cables[i].send(kernels); err != nil {
			return err
		}
		m.kernels.add(a)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if _, err := n.tell(cmdUnfilter); err != nil {
		return err
	}
	for i, f := range families {
		m := &all[i]
		a, c, err := n.during(n.cables[i], load{
			questions: n.ours[i], rate: own, foreign: n.foreign[i], flood: flooding, last: last,
		})
		if err != nil {
			return err
		}
		m.bare = c
		m.open.add(a)
		ours, kernels, open := m.ours.summary(), m.kernels.summary(), m.open.summary()
		name := fmt.Sprintf("%s, %d own among %d foreign/s: ", f.name, own, flooding)
		b.add(
			figure.Milliseconds(name+"p50", ours.p50).Beside(kernel, ms(kernels.p50)),
			figure.Milliseconds(name+"p99", ours.p99).AtMost(floodGoal).Beside(kernel, ms(kernels.p99)),
			figure.Milliseconds(name+"worst", ours.worst).Beside(kernel, ms(kernels.worst)),
			figure.Lower(name+"lost", float64(ours.lost), "of "+fmt.Sprint(ours.sent)).AtMost(0).Beside(kernel, float64(kernels.lost)),
			figure.Milliseconds(name+"p99 without filter", open.p99),
			figure.Lower(name+"lost without filter", float64(open.lost), "of "+fmt.Sprint(open.sent)),
			figure.Figure{Name: name + "foreign requests sent", Value: math.Round(m.foreign), Unit: "/s", Better: "higher"},
			figure.Lower(name+"CPU of the port", m.filtered.cpu, "s/s").Beside("without filter", m.bare.cpu),
			figure.Lower(name+"CPU of the port without foreign ones", m.calm.cpu, "s/s"),
			figure.Lower(name+"frames that woke the port", float64(m.filtered.frames), "").Beside("without filter", float64(m.bare.frames)))
	}
	return nil
}
