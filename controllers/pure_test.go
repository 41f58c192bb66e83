// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var clock = regexp.MustCompile(`\btime\.(Now|Since|Until|After|AfterFunc|Sleep|Tick|NewTimer|NewTicker)\b`)

// The pure cores stay pure: nothing of Kubernetes, no log, no context, no goroutines' tools,
// no sockets, no files. Of time they know durations and no clock.
func TestCoresArePure(t *testing.T) {
	allowed := []string{"cmp", "encoding/binary", "fmt", "maps", "math", "math/bits", "net/netip", "slices", "strings", "time"}
	for _, core := range []string{"./ipam", "./placement", "./sight"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, core).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(out)) {
			if !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", core, path)
			}
		}
		files, err := filepath.Glob(filepath.Join(core, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(core, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if clock.Match(text) && !strings.HasSuffix(f, "_test.go") {
				t.Errorf("%s reads a clock", f)
			}
		}
	}
}
