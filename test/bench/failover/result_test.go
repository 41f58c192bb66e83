// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

func rounds(milliseconds ...int) []round {
	var all []round
	for _, ms := range milliseconds {
		d := time.Duration(ms) * time.Millisecond
		all = append(all, round{V4: sight{Outage: d, Cold: 2 * d, Voices: time.Duration(ms) * time.Microsecond, Lost: 1}, V6: sight{Outage: d / 2, Broken: 1}, Moves: 1})
	}
	return all
}

func TestFigures(t *testing.T) {
	r := result{Name: "crash", Rounds: rounds(100, 700, 200), Fast: rounds(330), limits: limits{median: 300 * time.Millisecond, worst: 600 * time.Millisecond}}
	byName := map[string]figure.Figure{}
	for _, f := range r.figures() {
		if _, twice := byName[f.Name]; twice {
			t.Errorf("two figures %q", f.Name)
		}
		byName[f.Name] = f
	}
	for name, want := range map[string]string{
		"crash IPv4 outage median":          "crash IPv4 outage median: 200 ms, target 300, " + fastPeer + " 330",
		"crash IPv4 outage worst":           "crash IPv4 outage worst: 700 ms, target 600, " + fastPeer + " 330",
		"crash IPv6 outage worst":           "crash IPv6 outage worst: 350 ms, target 600, " + fastPeer + " 165",
		"crash IPv4 cold median":            "crash IPv4 cold median: 400 ms, target 300, " + fastPeer + " 660",
		"crash IPv4 two voices":             "crash IPv4 two voices: 0.7 ms, target 0.5, " + fastPeer + " 0.33",
		"crash IPv4 requests lost":          "crash IPv4 requests lost: 3 requests",
		"crash IPv6 TCP connections broken": "crash IPv6 TCP connections broken: 3 connections",
		"crash moves":                       "crash moves: 3 moves",
	} {
		if got := byName[name].String(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	r.limits = limits{lossless: true, unmoved: true}
	for _, f := range r.figures() {
		if missed := f.Holds != nil && !*f.Holds; missed != (f.Value > 0 && (strings.Contains(f.Name, "lost") || strings.Contains(f.Name, "broken") || strings.Contains(f.Name, "moves")) || f.Name == "crash IPv4 two voices") {
			t.Errorf("%s: misses its target: %v", f, missed)
		}
	}
}

func TestRow(t *testing.T) {
	r := result{Name: "crash", Rounds: rounds(100, 700), Notes: []string{"a", "b"}, limits: limits{median: time.Second, worst: 2 * time.Second}}
	r.Rounds[0].V6.Endless = true
	row := r.row()
	if len(row) != len(head) {
		t.Fatalf("%d cells under %d heads", len(row), len(head))
	}
	for i, want := range map[int]string{0: "crash", 1: "700 / >350", 3: "1400 / >0", 5: "1 / 0", 8: "2 / 0", 9: "0 / 2", 10: "2", 11: "1000 / 2000", 12: "-", 14: "a; b"} {
		if row[i] != want {
			t.Errorf("%s: %q, want %q", head[i], row[i], want)
		}
	}
}

func TestCountWrites(t *testing.T) {
	beat := cluster.Write{Account: "arpeggio-agent", Verb: "update", Resource: "leases"}
	agents, others, kinds := countWrites([]cluster.Write{beat, beat, {Account: "arpeggio-manager", Verb: "update", Resource: "leases"}})
	if agents != 2 || others != 1 || kinds != "[arpeggio-agent update leases:2 arpeggio-manager update leases:1]" {
		t.Errorf("agents %g, others %g, %s", agents, others, kinds)
	}
}

func TestUneven(t *testing.T) {
	if got := uneven(map[string]int{"a": 101, "b": 99, "c": 100}); got != 1 {
		t.Errorf("furthest from 100: %d, want 1", got)
	}
	if got := uneven(map[string]int{"a": 0, "b": 150, "c": 150}); got != 100 {
		t.Errorf("furthest from 100: %d, want 100", got)
	}
}

func TestReadOptions(t *testing.T) {
	read := func(pairs ...string) (options, error) {
		return readOptions(func(name string) string {
			for _, p := range pairs {
				if value, ok := strings.CutPrefix(p, name+"="); ok {
					return value
				}
			}
			return ""
		})
	}
	o, err := read()
	if err != nil || o.rounds != 5 || o.many != 5000 || o.calm != 30*time.Minute || !o.peers || o.resume || o.keep || len(o.only) != 0 {
		t.Errorf("by default %+v, %v", o, err)
	}
	o, err = read("BENCH_ROUNDS=2", "BENCH_ONLY=crash,kill", "BENCH_PEERS=0", "BENCH_CALM_MINUTES=1", "KEEP=1")
	if err != nil || o.rounds != 2 || o.calm != time.Minute || o.peers || !o.keep || strings.Join(o.only, " ") != "crash kill" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, wrong := range []string{"BENCH_ROUNDS=0", "BENCH_ROUNDS=many", "BENCH_MANY=0", "BENCH_CALM_MINUTES=-1", "BENCH_ONLY=crush"} {
		if _, err := read(wrong); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
}

// What is not built for both is not compared: each address is of one instance, each instance has its own router.
func TestKeepalivedConfig(t *testing.T) {
	c := keepalivedConfig("client2", 150)
	for _, addr := range append(append([]string{}, slowVIPs[0].String(), slowVIPs[1].String()), fastVIPs[0].String(), fastVIPs[1].String()) {
		if strings.Count(c, "    "+addr+"/") != 1 {
			t.Errorf("%s is not there once:\n%s", addr, c)
		}
	}
	for _, id := range []string{"51", "52", "53", "54"} {
		if strings.Count(c, "virtual_router_id "+id+"\n") != 1 {
			t.Errorf("router %s is not there once:\n%s", id, c)
		}
	}
	if strings.Count(c, "{") != strings.Count(c, "}") || strings.Count(c, "version 3") != 2 || strings.Count(c, "advert_int 1\n") != 2 {
		t.Errorf("braces, versions or intervals:\n%s", c)
	}
}
