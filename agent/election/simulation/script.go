// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Script is a run: the world, what happens to it, and what is wanted of it.
type Script struct {
	// Comment says what it is about, a line each.
	Comment []string
	Setup
	Faults []Fault
	End    time.Duration
	Wants  []Want
}

// Fault is something that happens at a time, and ends by itself.
type Fault struct {
	At   time.Duration
	Verb string
	Args []string
	For  time.Duration // zero: it lasts, or takes no time
}

// String gives the fault as a line of a script: "12.000 crash A for 5.000".
func (f Fault) String() string {
	s := seconds(f.At) + " " + strings.Join(append([]string{f.Verb}, f.Args...), " ")
	if f.For > 0 {
		s += " for " + seconds(f.For)
	}
	return s
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// Want is what a run's figures must be: "dark <= 0.600", "moves = 1", "speaker = B".
type Want struct{ Figure, Than, Value string }

func (w Want) String() string { return "want " + w.Figure + " " + w.Than + " " + w.Value }

// holds compares a figure; durations are in seconds.
func (w Want) holds(r *Result) error {
	if w.Figure == "speaker" {
		if r.Speaker != w.Value {
			return fmt.Errorf("want: the speaker is %q, want %q", r.Speaker, w.Value)
		}
		return nil
	}
	value, err := strconv.ParseFloat(w.Value, 64)
	if err != nil {
		return fmt.Errorf("script: %w", err)
	}
	figures := map[string]float64{
		"dark": r.Dark.Seconds(), "settle": r.Settle.Seconds(), "moves": float64(r.Moves),
		"wire": float64(r.Wire), "voices": float64(r.Voices), "writes": float64(r.Writes),
	}
	for i, d := range r.Overlaps {
		figures[Cause(i).String()] = d.Seconds()
	}
	is, ok := figures[w.Figure]
	switch {
	case !ok:
		return fmt.Errorf("script: no figure %q", w.Figure)
	case w.Than == "<=" && is <= value, w.Than == "=" && is == value, w.Than == ">=" && is >= value:
		return nil
	default:
		return fmt.Errorf("want: %s is %v, want %s %s", w.Figure, is, w.Than, w.Value)
	}
}

// Format gives the script as text.
func (s Script) Format() string {
	var b strings.Builder
	for _, c := range s.Comment {
		fmt.Fprintf(&b, "# %s\n", c)
	}
	fmt.Fprintf(&b, "seed %d\nnodes %d\n", s.Seed, s.Nodes)
	for _, l := range s.Leases {
		b.WriteString("lease")
		for _, p := range l {
			fmt.Fprintf(&b, " %s", p)
		}
		b.WriteString("\n")
	}
	if s.Candidates != nil {
		b.WriteString("order")
		for _, i := range s.Candidates {
			b.WriteString(" " + names(i))
		}
		b.WriteString("\n")
	}
	for _, k := range keys {
		if v := k.get(&s.Setup); v != k.zero {
			fmt.Fprintf(&b, "%s %s\n", k.name, v)
		}
	}
	b.WriteString("\n")
	for _, f := range s.Faults {
		fmt.Fprintln(&b, f)
	}
	fmt.Fprintf(&b, "%s end\n\n", seconds(s.End))
	for _, w := range s.Wants {
		fmt.Fprintln(&b, w)
	}
	return b.String()
}

// String gives "4@eth0".
func (p Where) String() string {
	if p.V6 {
		return "6@" + interfaces[p.Segment]
	}
	return "4@" + interfaces[p.Segment]
}

// key is a line of the setup with one value.
type key struct {
	name, zero string
	get        func(*Setup) string
	set        func(*Setup, string) error
}

func number(name string, at func(*Setup) *int) key {
	return key{name, "0", func(s *Setup) string { return strconv.Itoa(*at(s)) }, func(s *Setup, v string) (err error) {
		*at(s), err = strconv.Atoi(v)
		return err
	}}
}

func span(name string, at func(*Setup) *time.Duration) key {
	return key{name, "0s", func(s *Setup) string { return at(s).String() }, func(s *Setup, v string) (err error) {
		*at(s), err = time.ParseDuration(v)
		return err
	}}
}

func yes(name string, at func(*Setup) *bool) key {
	return key{name, "false", func(s *Setup) string { return strconv.FormatBool(*at(s)) }, func(s *Setup, v string) (err error) {
		*at(s), err = strconv.ParseBool(v)
		return err
	}}
}

var keys = []key{
	span("lag", func(s *Setup) *time.Duration { return &s.Lag }),
	span("latency", func(s *Setup) *time.Duration { return &s.Latency }),
	number("loss", func(s *Setup) *int { return &s.Loss }),
	number("drift", func(s *Setup) *int { return &s.Drift }),
	span("forward", func(s *Setup) *time.Duration { return &s.Forward }),
	yes("nogateway", func(s *Setup) *bool { return &s.NoGateway }),
	yes("guest", func(s *Setup) *bool { return &s.Guest }),
	yes("nodisk", func(s *Setup) *bool { return &s.NoDisk }),
	yes("busy", func(s *Setup) *bool { return &s.Busy }),
}

// Parse reads a script.
func Parse(text string) (Script, error) {
	s := Script{Setup: Setup{Nodes: 3, Lag: 20 * time.Millisecond, Latency: 5 * time.Millisecond}}
	sc := bufio.NewScanner(strings.NewReader(text))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if c, ok := strings.CutPrefix(line, "#"); ok {
			s.Comment = append(s.Comment, strings.TrimSpace(c))
			continue
		}
		if line == "" {
			continue
		}
		if err := s.line(strings.Fields(line)); err != nil {
			return s, fmt.Errorf("line %d: %q: %w", n, line, err)
		}
	}
	if s.Leases == nil {
		s.Leases = [][]Where{{{}}}
	}
	for _, l := range s.Leases {
		for _, p := range l {
			s.Segments = max(s.Segments, p.Segment+1)
		}
	}
	return s, nil
}

func (s *Script) line(words []string) (err error) {
	switch rest := words[1:]; words[0] {
	case "seed":
		s.Seed, err = strconv.ParseUint(strings.Join(rest, " "), 10, 64)
	case "nodes":
		s.Nodes, err = strconv.Atoi(strings.Join(rest, " "))
	case "lease":
		var l []Where
		for _, w := range rest {
			family, iface, _ := strings.Cut(w, "@")
			seg := slices.Index(interfaces[:], iface)
			if seg < 0 || family != "4" && family != "6" {
				return fmt.Errorf("no place %q", w)
			}
			l = append(l, Where{V6: family == "6", Segment: seg})
		}
		s.Leases = append(s.Leases, l)
	case "order":
		for _, w := range rest {
			s.Candidates = append(s.Candidates, int(w[0]-'A'))
		}
	case "want":
		if len(rest) != 3 {
			return fmt.Errorf("want FIGURE THAN VALUE")
		}
		s.Wants = append(s.Wants, Want{rest[0], rest[1], rest[2]})
	default:
		for _, k := range keys {
			if k.name == words[0] {
				return k.set(&s.Setup, strings.Join(rest, " "))
			}
		}
		return s.fault(words)
	}
	return err
}

func (s *Script) fault(words []string) error {
	at, err := strconv.ParseFloat(words[0], 64)
	if err != nil || len(words) < 2 {
		return fmt.Errorf("neither a key nor a fault")
	}
	f := Fault{At: ofSeconds(at), Verb: words[1], Args: words[2:]}
	if f.Verb == "end" {
		s.End = f.At
		return nil
	}
	if n := len(f.Args) - 2; n >= 0 && f.Args[n] == "for" {
		lasts, err := strconv.ParseFloat(f.Args[n+1], 64)
		if err != nil {
			return err
		}
		f.For, f.Args = ofSeconds(lasts), f.Args[:n]
	}
	if verbOf(f.Verb) == nil {
		return fmt.Errorf("no fault %q", f.Verb)
	}
	s.Faults = append(s.Faults, f)
	return nil
}

func ofSeconds(s float64) time.Duration { return time.Duration(s*1e6+0.5) * time.Microsecond }
