// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// reportRetry is the pause after a round in which a status could not be written.
	reportRetry = 500 * time.Millisecond
	// reportWriters is how many statuses are written at a time: a node that takes over
	// a thousand VIPs has as many to write.
	reportWriters = 8
	// conflictTries is how often a status is read anew because somebody else wrote it.
	conflictTries = 4
	// flushBound is how long statuses and Events are still written at the end.
	flushBound = 2 * time.Second
)

// reporter writes statuses, each again until it is written. A failover does not wait for
// it.
type reporter struct {
	client client.Client
	log    logr.Logger
	wake   chan struct{}
	rush   *rush // goes first

	mu      sync.Mutex // guards pending
	pending map[types.NamespacedName]report
}

func newReporter(c client.Client, log logr.Logger) *reporter {
	return &reporter{
		client: c, log: log, wake: make(chan struct{}, 1),
		pending: map[types.NamespacedName]report{},
	}
}

// put replaces what is still to be written for an announcement.
func (r *reporter) put(key types.NamespacedName, rep report) {
	r.mu.Lock()
	r.pending[key] = rep
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// String names the task.
func (r *reporter) String() string { return "status reports" }

// Run writes until the context ends, and then for a moment what is left.
func (r *reporter) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wake := r.wake
		var retry <-chan time.Time
		if !r.writeAll(ctx) {
			wake, retry = nil, time.After(reportRetry)
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-retry:
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushBound)
	defer cancel()
	r.writeAll(ctx)
	return nil
}

// writeAll tries every pending report once; false: some are left.
func (r *reporter) writeAll(ctx context.Context) bool {
	r.mu.Lock()
	round := r.pending
	r.pending = map[types.NamespacedName]report{}
	r.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(reportWriters)
	for key, rep := range round {
		group.Go(func() error {
			r.rush.wait(ctx)
			err := r.write(ctx, key, rep)
			if err != nil {
				r.again(key, rep, err)
			}
			return err
		})
	}
	return group.Wait() == nil
}

// again puts back what could not be written, unless there is something younger.
func (r *reporter) again(key types.NamespacedName, rep report, err error) {
	if !errors.Is(err, context.Canceled) {
		r.log.Info("status not written", "announcement", key.String(), "err", err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, younger := r.pending[key]; !younger {
		r.pending[key] = rep
	}
}

// write brings one report into the status of the very announcement it is about.
func (r *reporter) write(ctx context.Context, key types.NamespacedName, rep report) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error(fmt.Errorf("panic: %v", p), "status is given up: please report this", "announcement", key.String())
			err = nil
		}
	}()
	for range conflictTries {
		var a v1alpha1.VIPAnnouncement
		if err := r.client.Get(ctx, key, &a); err != nil {
			return client.IgnoreNotFound(err)
		}
		before := a.Status.DeepCopy()
		if a.UID != rep.uid || !rep.apply(&a.Status, a.Generation) || equality.Semantic.DeepEqual(*before, a.Status) {
			return nil
		}
		err = client.IgnoreNotFound(r.client.Status().Update(ctx, &a))
		if !apierrors.IsConflict(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("writing the status of %s: %w", key, err)
	}
	return nil
}
