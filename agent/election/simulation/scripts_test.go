// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the scripts anew, in the one form")

// seedsOfScript is how many worlds each script is played in: its own seed and those after.
const seedsOfScript = 20

func scripts(t *testing.T) map[string]Script {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	out := map[string]Script{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if *rewrite {
			if err := os.WriteFile(f, []byte(s.Format()), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got := s.Format(); got != string(text) {
			t.Errorf("%s is not in the one form; -rewrite brings it there", f)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".txt")] = s
	}
	return out
}

// TestScripts plays every script of testdata, in several worlds.
func TestScripts(t *testing.T) {
	for name, s := range scripts(t) {
		t.Run(name, func(t *testing.T) {
			var worst Result
			for i := range uint64(seedsOfScript) {
				r := Run(s, Options{Seed: s.Seed + i})
				worst.worst(r)
				if r.Err != nil {
					t.Fatalf("seed %d: %v\n%s", s.Seed+i, r.Err, Run(s, Options{Seed: s.Seed + i, Trace: true}).Trace)
				}
			}
			t.Log(worst)
		})
	}
}
