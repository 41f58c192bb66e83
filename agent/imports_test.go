// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/arpeggio-lb/arpeggio/"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	pkgs := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}

// under tells whether an import path is one of the module's folders or lies in it.
func under(path, folder string) bool {
	return path == module+folder || strings.HasPrefix(path, module+folder+"/")
}

func TestImports(t *testing.T) {
	pkgs := list(t)
	t.Run("directions", func(t *testing.T) { directions(t, pkgs) })
	t.Run("pure cores", func(t *testing.T) { pureCores(t, pkgs) })
}

// The parts meet only in the API, and the edges only in the loop.
func directions(t *testing.T, pkgs map[string]pkg) {
	edges := []string{"agent/wire", "agent/lease", "agent/link", "agent/lock", "agent/memory", "agent/forward", "agent/health", "agent/metrics"}
	for name, p := range pkgs {
		for _, edge := range edges {
			for _, dep := range p.Deps {
				if under(p.ImportPath, edge) && slices.ContainsFunc(edges, func(o string) bool { return o != edge && under(dep, o) }) {
					t.Errorf("%s imports %s; edges do not know each other", name, dep)
				}
			}
		}
		for _, rule := range []struct{ of, not string }{
			{"agent", "controllers"},
			{"controllers", "agent"},
			{"agent/detector", "agent/election"},
			{"api", "agent"},
			{"api", "controllers"},
			{"agent", "cmd"},
			{"agent", "test"},
			{"controllers", "cmd"},
			{"controllers", "test"},
			{"cmd", "test"},
		} {
			if !under(p.ImportPath, rule.of) {
				continue
			}
			for _, dep := range p.Deps {
				if under(dep, rule.not) {
					t.Errorf("%s imports %s", name, dep)
				}
			}
		}
		if !under(p.ImportPath, "api") {
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(i, ".") && !strings.HasPrefix(i, "k8s.io/apimachinery/") && !strings.HasPrefix(i, module+"api") {
				t.Errorf("%s imports %s; the API imports apimachinery only", name, i)
			}
		}
	}
}

// The pure cores decide: no API, no clock, no log, no network, no goroutine. Of other
// people's code they have a hash, which is a function of its arguments, and the instructions of
// BPF, which are values.
func pureCores(t *testing.T, pkgs map[string]pkg) {
	for _, name := range []string{"agent/conflict", "agent/detector", "agent/election", "agent/neighbor", "agent/wire/filter", "agent/wire/mld", "controllers/ipam", "controllers/placement"} {
		p, ok := pkgs[name]
		if !ok {
			t.Errorf("%s is gone; this test names it", name)
			continue
		}
		for _, i := range p.Imports {
			if slices.Contains([]string{"context", "log", "log/slog", "net", "net/http", "os", "sync", "sync/atomic", "syscall", "math/rand", "math/rand/v2"}, i) ||
				strings.Contains(i, ".") && !strings.HasPrefix(i, module) && !slices.Contains([]string{"github.com/dchest/siphash", "golang.org/x/net/bpf"}, i) {
				t.Errorf("%s imports %s", name, i)
			}
		}
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, "k8s.io/") || strings.HasPrefix(dep, "sigs.k8s.io/") {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
		for _, file := range p.GoFiles {
			pure(t, filepath.Join(p.Dir, file))
		}
	}
}

// pure fails the test where a file starts a goroutine or reads the clock.
func pure(t *testing.T, path string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a goroutine", set.Position(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" &&
				slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, n.Sel.Name) {
				t.Errorf("%s: time.%s", set.Position(n.Pos()), n.Sel.Name)
			}
		}
		return true
	})
}
