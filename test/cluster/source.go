// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// modulePath is this project's module, by which its source tree is recognized.
const modulePath = "github.com/arpeggio-lb/arpeggio"

// SourceRoot finds the project's source tree: above the working directory, above the running program, or where this
// file was compiled.
func SourceRoot() (string, error) {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for ; filepath.IsAbs(dir); dir = filepath.Dir(dir) {
			b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && strings.HasPrefix(string(b), "module "+modulePath+"\n") {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("no source tree of %s found above %s: run this inside a clone of it", modulePath, strings.Join(starts, ", "))
}

// hashSources hashes the Go files that the project's own programs are built from.
func hashSources(root string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version())
	for _, dir := range append(programs(), programLibraries()...) {
		files, err := filepath.Glob(filepath.Join(root, "test", "cluster", dir, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s/%s %d\n", dir, filepath.Base(file), len(b))
			h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// cacheDir is where programs are kept, for all clones of the project.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/cache"
	}
	dir = filepath.Join(dir, "arpeggio", "lab")
	if err := seenByMachines(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// seenByMachines refuses a directory that the machines of the lab, which have some
// directories of their own, would not find.
func seenByMachines(dir string) error {
	for _, own := range []string{"/tmp", "/run", "/var/lib", "/var/log"} {
		if dir == own || strings.HasPrefix(dir, own+"/") {
			return fmt.Errorf("the cache would be in %s, but the lab's machines have a %s of their own: set XDG_CACHE_HOME (or HOME) to another place", dir, own)
		}
	}
	return nil
}

// unusedFor is how long programs of another state of the sources are kept after their last use.
const unusedFor = 7 * 24 * time.Hour

// pruneUnused notes that current is used, and removes its siblings of that prefix that were not for long.
func pruneUnused(cache, prefix, current string) error {
	now := time.Now()
	if err := os.Chtimes(current, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dirs, err := filepath.Glob(filepath.Join(cache, prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		st, err := os.Stat(dir)
		if err == nil && dir != current && now.Sub(st.ModTime()) > unusedFor {
			err = os.RemoveAll(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
