// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strconv"
	"time"
)

// series is the latencies of rounds.
type series struct {
	rounds     [][]time.Duration
	sent, lost int
}

func (s *series) add(a answers) {
	s.rounds = append(s.rounds, a.latencies)
	s.sent += a.sent
	s.lost += a.lost()
}

// summary of a series: half of the replies came within p50, 99 of 100 within p99.
type summary struct {
	p50, p99, worst time.Duration
	sent, lost      int
}

func (s series) summary() summary {
	sorted := slices.Concat(s.rounds...)
	slices.Sort(sorted)
	return summary{
		p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), worst: quantile(sorted, 1), sent: s.sent, lost: s.lost,
	}
}

// noise is by how many percent the p99 of the even rounds and that of the odd ones differ.
func (s series) noise() float64 {
	var halves [2]series
	for i, r := range s.rounds {
		halves[i%2].rounds = append(halves[i%2].rounds, r)
	}
	a, b := halves[0].summary().p99, halves[1].summary().p99
	return percent(min(a, b), max(a, b))
}

// quantile of sorted values: the lowest that is not below this share of them; 0 of none.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(share * float64(len(sorted)))
	return sorted[min(i, len(sorted)-1)]
}

// percent is by how much b is above a; 0 where there is no a.
func percent(a, b time.Duration) float64 {
	if a == 0 {
		return 0
	}
	return 100 * (float64(b)/float64(a) - 1)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// count names a number of VIPs.
func count(vips int) string {
	if vips == 1 {
		return "1 VIP"
	}
	return strconv.Itoa(vips) + " VIPs"
}
