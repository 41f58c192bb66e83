// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

const (
	// settle is how long changes are gathered: a node that dies changes thousands of Leases
	// at once, and then others need the processor more.
	settle = time.Second
	// share is the part of the time that may be spent writing: one in share.
	share = 20
)

// Writer is the task that keeps a file up to date. Put, Touch and Due are for one goroutine,
// the agent's loop, and never wait.
type Writer struct {
	path   string
	log    logr.Logger
	latest chan Snapshot // the one that is to be written
	busy   atomic.Bool   // one is waiting, is written, or was just now

	touched time.Time // the first change that was not put; zero: none
}

// NewWriter gives the writer of a file. Its directory must exist.
func NewWriter(path string, log logr.Logger) *Writer {
	return &Writer{path: path, log: log, latest: make(chan Snapshot, 1)}
}

// Touch says that something has changed.
func (w *Writer) Touch() {
	if w.touched.IsZero() {
		w.touched = time.Now()
	}
}

// Due is whether it is time to Put: something has changed a second ago, and what was put
// before is written. It costs nothing, so that the caller makes a snapshot only when it is
// needed.
func (w *Writer) Due() bool {
	return !w.touched.IsZero() && time.Since(w.touched) >= settle && !w.busy.Load()
}

// Put replaces what is to be written. The caller changes nothing in it any more.
func (w *Writer) Put(s Snapshot) {
	w.touched = time.Time{}
	w.busy.Store(true)
	select {
	case <-w.latest:
	default:
	}
	w.latest <- s
}

// String names the task.
func (w *Writer) String() string { return "memory" }

// Run writes until ctx ends, and then what was put last. It writes at most once a second and
// a twentieth of the time. That it cannot write is logged, not an error: the agent does its
// work without.
func (w *Writer) Run(ctx context.Context) error {
	var there *uint32 // checksum of what is in the file
	failing := ""
	write := func(s Snapshot) {
		crc, err := save(w.path, s, there)
		switch {
		case err == nil:
			there, failing = &crc, ""
		case err.Error() != failing:
			there, failing = nil, err.Error()
			w.log.Info("the memory is not written, trying on with the next change", "err", failing)
		}
	}
	for {
		select {
		case <-ctx.Done():
			select {
			case s := <-w.latest:
				write(s)
			default:
			}
			return nil
		case s := <-w.latest:
			begun := time.Now()
			write(s)
			select {
			case <-ctx.Done():
			case <-time.After(max(settle, share*time.Since(begun))):
			}
			w.busy.Store(len(w.latest) > 0)
		}
	}
}
