// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options say what to measure, and how often.
type options struct {
	rounds              int
	only                []string
	peers, resume, keep bool
	calm                time.Duration
	many                int
}

// readOptions reads the environment; see the package's documentation.
func readOptions(get func(string) string) (options, error) {
	o := options{rounds: 5, calm: 30 * time.Minute, peers: get("BENCH_PEERS") != "0", resume: get("BENCH_RESUME") == "1", keep: get("KEEP") == "1"}
	number := func(name string, fallback int) (int, error) {
		text := get(name)
		if text == "" {
			return fallback, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("%s=%s: want a number, at least 1", name, text)
		}
		return n, nil
	}
	var err error
	if o.rounds, err = number("BENCH_ROUNDS", o.rounds); err != nil {
		return o, err
	}
	if o.many, err = number("BENCH_MANY", 5000); err != nil {
		return o, err
	}
	minutes, err := number("BENCH_CALM_MINUTES", int(o.calm.Minutes()))
	if err != nil {
		return o, err
	}
	o.calm = time.Duration(minutes) * time.Minute
	known := scenarioNames()
	for name := range strings.SplitSeq(get("BENCH_ONLY"), ",") {
		if name == "" {
			continue
		}
		if !slices.Contains(known, name) {
			return o, fmt.Errorf("BENCH_ONLY: no scenario %q: there are %s", name, strings.Join(known, ", "))
		}
		o.only = append(o.only, name)
	}
	return o, nil
}
