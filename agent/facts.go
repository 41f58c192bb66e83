// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const factsRetry = time.Second

// factsStore writes a node's facts; it writes nothing when they stand there already.
type factsStore interface {
	WriteFacts(ctx context.Context, node string, facts v1alpha1.Facts) error
}

// factsWriter publishes this node's facts, each change until it is written.
type factsWriter struct {
	store  factsStore
	node   string
	log    logr.Logger
	latest chan v1alpha1.Facts // the one that is to be written; only the loop sends
}

func newFactsWriter(store factsStore, node string, log logr.Logger) *factsWriter {
	return &factsWriter{store: store, node: node, log: log, latest: make(chan v1alpha1.Facts, 1)}
}

// put replaces what is to be written.
func (w *factsWriter) put(f v1alpha1.Facts) {
	select {
	case <-w.latest:
	default:
	}
	w.latest <- f
}

// String names the task.
func (w *factsWriter) String() string { return "facts" }

// Run writes until the context ends.
func (w *factsWriter) Run(ctx context.Context) error {
	var facts v1alpha1.Facts
	var retry <-chan time.Time
	failing := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case facts = <-w.latest:
		case <-retry:
		}
		retry = nil
		err := w.store.WriteFacts(ctx, w.node, facts)
		if err == nil || ctx.Err() != nil {
			failing = ""
			continue
		}
		retry = time.After(factsRetry)
		if err.Error() != failing {
			failing = err.Error()
			w.log.Info("facts not written, trying on", "err", failing)
		}
	}
}
