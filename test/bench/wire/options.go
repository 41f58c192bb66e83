// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// options say what to measure, and for how long.
type options struct {
	seconds     int
	rates       []int
	flood, most int // requests a second
	only        []string
}

var scenarios = []string{"latency", "rate", "flood", "announce"}

// readOptions reads the environment; see the package's documentation.
func readOptions(get func(string) string) (options, error) {
	o := options{seconds: 4, rates: []int{100, 1000, 10000}, flood: 100000, most: 200000}
	for name, to := range map[string]*int{"BENCH_SECONDS": &o.seconds, "BENCH_FLOOD": &o.flood, "BENCH_MOST": &o.most} {
		text := get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("%s=%s: want a number, at least 1", name, text)
		}
		*to = n
	}
	if text := get("BENCH_RATES"); text != "" {
		o.rates = nil
		for part := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 || n > 50000 {
				return o, fmt.Errorf("BENCH_RATES=%s: want numbers from 1 to 50000, separated by commas", text)
			}
			o.rates = append(o.rates, n)
		}
	}
	for name := range strings.SplitSeq(get("BENCH_ONLY"), ",") {
		if name == "" {
			continue
		}
		if !slices.Contains(scenarios, name) {
			return o, fmt.Errorf("BENCH_ONLY: no scenario %q: there are %s", name, strings.Join(scenarios, ", "))
		}
		o.only = append(o.only, name)
	}
	return o, nil
}

// wants tells whether a scenario is to be run.
func (o options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }
