// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
)

// run runs a writer in a bubble of time; stop ends it.
func run(t *testing.T, path string) (w *Writer, logged *int, stop func()) {
	t.Helper()
	logged = new(int)
	w = NewWriter(path, funcr.New(func(_, _ string) { *logged++ }, funcr.Options{}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	return w, logged, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func there(t *testing.T, path string) int {
	t.Helper()
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(s.Announcements)
}

// Changes are gathered for a second, written at most once a second, and none is lost.
func TestWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	synctest.Test(t, func(t *testing.T) {
		w, _, stop := run(t, path)
		if w.Due() {
			t.Error("due although nothing changed")
		}
		w.Touch()
		time.Sleep(settle / 2)
		w.Touch()
		if w.Due() {
			t.Error("due too early")
		}
		time.Sleep(settle / 2)
		if !w.Due() {
			t.Error("not due a second after the first change")
		}
		w.Put(of(1))
		synctest.Wait()
		if n := there(t, path); n != 1 {
			t.Errorf("%d written", n)
		}
		// While it pauses only the last counts.
		w.Put(of(2))
		w.Put(of(3))
		w.Touch()
		time.Sleep(settle / 2)
		synctest.Wait()
		if n := there(t, path); n != 1 || w.Due() {
			t.Errorf("%d written, due %v", n, w.Due())
		}
		time.Sleep(settle)
		synctest.Wait()
		if n := there(t, path); n != 3 {
			t.Errorf("%d written", n)
		}
		// What waits at the end is written.
		w.Put(of(4))
		stop()
		if n := there(t, path); n != 4 {
			t.Errorf("%d written", n)
		}
	})
}

// What is the same is not written again.
func TestWriterUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	synctest.Test(t, func(t *testing.T) {
		w, _, stop := run(t, path)
		defer stop()
		var first os.FileInfo
		for n := range 3 {
			w.Put(of(2))
			time.Sleep(2 * settle)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				first = info
			} else if !os.SameFile(first, info) {
				t.Error("it was written although nothing changed")
			}
		}
		w.Put(of(3))
		time.Sleep(2 * settle)
		if n := there(t, path); n != 3 {
			t.Errorf("%d written", n)
		}
	})
}

// A disk that cannot be written is said once, and written when it can be again.
func TestWriterFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "memory")
	synctest.Test(t, func(t *testing.T) {
		w, logged, stop := run(t, path)
		defer stop()
		for range 3 {
			w.Put(of(1))
			time.Sleep(2 * settle)
		}
		synctest.Wait()
		if *logged != 1 {
			t.Errorf("said %d times", *logged)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.Put(of(1))
		time.Sleep(2 * settle)
		synctest.Wait()
		if d := cmp.Diff(1, there(t, path)); d != "" {
			t.Error(d)
		}
	})
}
