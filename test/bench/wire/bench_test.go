// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestSummary(t *testing.T) {
	var s series
	for _, round := range [][]int{{1, 2, 3}, {10, 4}} {
		a := answers{sent: 3, received: len(round)}
		for _, x := range round {
			a.latencies = append(a.latencies, time.Duration(x))
		}
		s.add(a)
	}
	want := summary{p50: 3, p99: 10, worst: 10, sent: 6, lost: 1}
	if got := s.summary(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := s.noise(); int(got) != 233 {
		t.Errorf("noise %v, want 10 above 3", got)
	}
	if (series{}).summary() != (summary{}) {
		t.Error("of nothing")
	}
}

// Every address is asked for, and a reply tells what it answers.
func TestQuestionsAndReplies(t *testing.T) {
	ours := neighbor.MAC{2, 0, 0, 0, 0, 2}
	for _, f := range families {
		addrs := some(f.vip, 100)
		frames, err := f.questions(addrs)
		if err != nil {
			t.Fatal(err)
		}
		var es []neighbor.Entry
		for _, a := range addrs {
			es = append(es, neighbor.Entry{Addr: a, Voice: true})
		}
		table := neighbor.NewTable(neighbor.Self{MAC: ours}, es)
		asked := map[netip.Addr]bool{}
		for i, frame := range frames {
			if _, ok := f.answered(frame); ok {
				t.Fatalf("%s: a question is taken for a reply", f.name)
			}
			v := table.Decide(nil, frame, neighbor.Gate{Now: 1, Tick: 1})
			asked[v.Addr] = true
			if got, ok := f.answered(v.Reply); !ok || got != i {
				t.Fatalf("%s: reply %d is to %d, %v: %+v", f.name, i, got, ok, v)
			}
		}
		if len(asked) != 100 || len(frames) != slots {
			t.Errorf("%s: %d questions for %d addresses", f.name, len(frames), len(asked))
		}
	}
	claims, _ := neighbor.NewTable(neighbor.Self{MAC: ours}, []neighbor.Entry{{Addr: families[0].vip, Voice: true}}).
		Claim(families[0].vip, neighbor.Gate{Now: 1, Tick: 1}, 1)
	if addr, ok := announcement(claims[0]); !ok || addr != families[0].vip {
		t.Errorf("announcement of %v, %v", addr, ok)
	}
}

func TestOptions(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	got, err := readOptions(env(map[string]string{"BENCH_SECONDS": "1", "BENCH_RATES": "100,200", "BENCH_MOST": "7", "BENCH_ONLY": "rate,flood"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(options{1, []int{100, 200}, 100000, 7, []string{"rate", "flood"}}, got, cmp.AllowUnexported(options{})); diff != "" {
		t.Error(diff)
	}
	if got.wants("latency") || !got.wants("rate") || !(options{}).wants("latency") {
		t.Error("wrong scenarios")
	}
	for name, bad := range map[string]string{"BENCH_SECONDS": "0", "BENCH_RATES": "100,x", "BENCH_ONLY": "nothing"} {
		if _, err := readOptions(env(map[string]string{name: bad})); err == nil {
			t.Errorf("%s=%s: no error", name, bad)
		}
	}
}
