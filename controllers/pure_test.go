// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The pure cores stay pure: nothing of Kubernetes, no log, no context, no goroutines' tools,
// no sockets, no files.
func TestCoresArePure(t *testing.T) {
	allowed := []string{"cmp", "encoding/binary", "fmt", "maps", "math", "math/bits", "net/netip", "slices", "strings"}
	for _, core := range []string{"./ipam", "./placement"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, core).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(out)) {
			if !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", core, path)
			}
		}
	}
}
