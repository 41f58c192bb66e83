// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strings"
	"time"
)

// Violates gives the kind of a violation: what its text begins with; empty: none.
func Violates(err error) string {
	if err == nil {
		return ""
	}
	kind, _, _ := strings.Cut(err.Error(), ":")
	return kind
}

// Shrink leaves out and simplifies what a violation does not need. Because everything that
// is left out changes the draws of the world, each smaller script is played from a few
// seeds.
func Shrink(s Script, o Options) Script {
	kind := Violates(Run(s, o).Err)
	if kind == "" {
		return s
	}
	o.Trace = false
	fails := func(c Script) (Script, bool) {
		for i := range uint64(12) {
			if c.Seed = s.Seed + i; Violates(Run(c, o).Err) == kind {
				return c, true
			}
		}
		return c, false
	}
	for smaller := true; smaller; {
		smaller = false
		for _, c := range s.smaller() {
			if c, ok := fails(c); ok {
				s, smaller = c, true
				break
			}
		}
	}
	return s
}

// smaller lists scripts that are simpler by one step, the greatest steps first.
func (s Script) smaller() (out []Script) {
	change := func(f func(c *Script)) {
		c := s
		c.Faults = slices.Clone(s.Faults)
		f(&c)
		out = append(out, c)
	}
	for i := range s.Faults {
		change(func(c *Script) { c.Faults = slices.Delete(c.Faults, i, i+1) })
	}
	if s.Nodes > 2 && s.Wants == nil {
		change(func(c *Script) { c.Nodes, c.Candidates = c.Nodes-1, nil })
	}
	if len(s.Leases) > 1 {
		change(func(c *Script) { c.Leases = c.Leases[:1] })
	}
	if len(s.Leases[0]) > 1 && s.Segments == 1 {
		change(func(c *Script) { c.Leases = [][]Where{c.Leases[0][:1]} })
	}
	plain := Setup{Lag: 20 * time.Millisecond, Latency: 5 * time.Millisecond}
	for _, k := range keys {
		if simple := k.get(&plain); k.get(&s.Setup) != simple {
			change(func(c *Script) { _ = k.set(&c.Setup, simple) })
		}
	}
	for i, f := range s.Faults {
		for _, lasts := range []time.Duration{f.For / 2, f.For.Round(100 * time.Millisecond), f.For.Round(time.Second)} {
			if lasts = lasts.Truncate(time.Millisecond); lasts > 0 && lasts < f.For {
				change(func(c *Script) { c.Faults[i].For = lasts })
			}
		}
		for _, at := range []time.Duration{f.At.Truncate(time.Second), f.At.Truncate(100 * time.Millisecond)} {
			if at < f.At && (i == 0 || at >= s.Faults[i-1].At) {
				change(func(c *Script) { c.Faults[i].At = at })
			}
		}
	}
	return out
}
