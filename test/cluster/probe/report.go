// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"slices"
	"time"
)

// Report is what came of a probe.
type Report struct {
	Config Config `json:"config"`
	// Started is before the first request, Stopped when no more were sent.
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped"`
	Sent    int       `json:"sent"`
	// Lost are the requests that nothing answered in time, by when they were sent.
	Lost []time.Time `json:"lost"`
	// Errors counts why, where something was said.
	Errors map[string]int `json:"errors,omitempty"`
	// Silence is the longest time without an answer, between Started and Stopped. With all well, it is about the
	// interval.
	Silence Silence `json:"silence"`
	// Silences are all times without an answer that were longer than twice the interval, in order.
	Silences []Silence `json:"silences,omitempty"`
	// Broken are the connections of Stream that ended by themselves, by when.
	Broken []time.Time `json:"broken,omitempty"`
	// Answers counts by who answered: a MAC for ARP and NDP, else the first line up to " client=".
	Answers map[string]int `json:"answers"`
	// Turns are, for ARP and NDP, the runs of answers of one MAC, in order of time.
	Turns []Turn `json:"turns,omitempty"`
}

// Silence is a time without answers.
type Silence struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Length is how long it was.
func (s Silence) Length() time.Duration { return s.To.Sub(s.From) }

// Longest is the longest silence that lasted into or began in the time between from and to; where none was longer than
// twice the interval, it is the interval.
func (r Report) Longest(from, to time.Time) time.Duration {
	longest := r.Config.withDefaults().Interval
	for _, s := range r.Silences {
		if s.To.After(from) && s.From.Before(to) {
			longest = max(longest, s.Length())
		}
	}
	return longest
}

// LostIn counts the lost requests that were sent between from and to.
func (r Report) LostIn(from, to time.Time) int { return countIn(r.Lost, from, to) }

// BrokenIn counts the connections that ended by themselves between from and to.
func (r Report) BrokenIn(from, to time.Time) int { return countIn(r.Broken, from, to) }

func countIn(times []time.Time, from, to time.Time) int {
	n := 0
	for _, at := range times {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// Turn is a run of answers of one MAC, uninterrupted by another's.
type Turn struct {
	Who     string    `json:"who"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Answers int       `json:"answers"`
}

func (r Report) String() string {
	return fmt.Sprintf("%s %s: %d sent, %d lost; longest silence %d ms, from %s",
		r.Config.Kind, r.Config.Target, r.Sent, len(r.Lost), r.Silence.Length().Milliseconds(), r.Silence.From.Format("15:04:05.000"))
}

// request is one request's fate.
type request struct {
	sent time.Time
	// answered is zero when nothing came in time.
	answered time.Time
	who      string
	err      error
}

// summarize makes a report of all requests, in any order.
func summarize(c Config, started, stopped time.Time, requests []request) Report {
	r := Report{Config: c, Started: started, Stopped: stopped, Sent: len(requests), Answers: map[string]int{}}
	var answered []request
	for _, q := range requests {
		if !q.answered.IsZero() {
			answered = append(answered, q)
			r.Answers[q.who]++
			continue
		}
		r.Lost = append(r.Lost, q.sent)
		if q.err != nil {
			if r.Errors == nil {
				r.Errors = map[string]int{}
			}
			r.Errors[q.err.Error()]++
		}
	}
	slices.SortFunc(r.Lost, time.Time.Compare)
	slices.SortFunc(answered, func(a, b request) int { return a.answered.Compare(b.answered) })
	last := started
	quiet := func(until time.Time) {
		if until.Sub(last) > r.Silence.Length() {
			r.Silence = Silence{From: last, To: until}
		}
		if until.Sub(last) > 2*c.Interval {
			r.Silences = append(r.Silences, Silence{From: last, To: until})
		}
		last = until
	}
	for _, q := range answered {
		if q.answered.After(stopped) {
			break
		}
		quiet(q.answered)
	}
	quiet(stopped)
	if c.Kind == ARP || c.Kind == NDP {
		r.Turns = turns(answered)
	}
	return r
}

func turns(answered []request) []Turn {
	var all []Turn
	for _, q := range answered {
		if n := len(all); n == 0 || all[n-1].Who != q.who {
			all = append(all, Turn{Who: q.who, First: q.answered})
		}
		t := &all[len(all)-1]
		t.Last = q.answered
		t.Answers++
	}
	return all
}
