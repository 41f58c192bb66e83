// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRequiredVersion(t *testing.T) {
	const gomod = `module m

tool example.com/tool/cmd/a

require example.com/tool v1.2.3 // indirect

require (
	example.com/other/v2 v2.0.1
)

replace example.com/other => example.com/other v9.9.9
`
	for module, want := range map[string]string{
		"example.com/tool": "v1.2.3", "example.com/other/v2": "v2.0.1", "example.com/other": "", "example.com/none": "",
	} {
		if got := requiredVersion(gomod, module); got != want {
			t.Errorf("%s: %q, want %q", module, got, want)
		}
	}
}

// Each program that the lab runs is pinned as a tool of its module, so that go mod tidy keeps what it needs.
func TestComponentsArePinned(t *testing.T) {
	for _, c := range components() {
		b, err := os.ReadFile(filepath.Join(c.name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if requiredVersion(string(b), c.from) == "" {
			t.Errorf("%s/go.mod does not require %s", c.name, c.from)
		}
		if len(c.order) != len(c.packages) {
			t.Errorf("%s: %d programs in order, %d in all", c.name, len(c.order), len(c.packages))
		}
		for _, program := range c.order {
			if !strings.Contains(string(b), "\t"+c.packages[program]+"\n") {
				t.Errorf("%s: %s is not among the tools of its go.mod", c.name, program)
			}
		}
	}
}

// The cache of the project's own programs goes by the sources of all packages they are made of.
func TestHashSourcesCoversWhatProgramsImport(t *testing.T) {
	var args []string
	for _, p := range programs() {
		args = append(args, "./"+p)
	}
	out, err := exec.Command("go", append([]string{"list", "-deps"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	hashed := append(programs(), programLibraries()...)
	for _, pkg := range strings.Fields(string(out)) {
		if dir, ours := strings.CutPrefix(pkg, modulePath+"/test/cluster/"); ours && !slices.Contains(hashed, dir) {
			t.Errorf("programs import %s, which is not hashed", dir)
		} else if !ours && strings.HasPrefix(pkg, modulePath+"/") {
			t.Errorf("programs import %s, outside test/cluster", pkg)
		}
	}
}

func TestSourceRoot(t *testing.T) {
	want, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := SourceRoot(); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	t.Chdir(t.TempDir()) // found by where this was compiled
	if got, err := SourceRoot(); err != nil || got != want {
		t.Errorf("from elsewhere: %q, %v; want %q", got, err, want)
	}
}

func TestPruneUnused(t *testing.T) {
	cache := t.TempDir()
	old := time.Now().Add(-2 * unusedFor)
	for name, at := range map[string]time.Time{"programs-a": old, "programs-b": time.Now(), "programs-c": old, "kubernetes-d": old} {
		dir := filepath.Join(cache, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := pruneUnused(cache, "programs-", filepath.Join(cache, "programs-c")); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "*"))
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{"kubernetes-d", "programs-b", "programs-c"}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestSeenByMachines(t *testing.T) {
	for dir, ok := range map[string]bool{
		"/root/.cache/arpeggio/lab": true, "/tmpfiles/lab": true,
		"/tmp/home/.cache": false, "/run/user/0": false, "/var/lib/ci/cache": false,
	} {
		if err := seenByMachines(dir); (err == nil) != ok {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
