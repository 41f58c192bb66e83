// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
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
	pace   *pace // of what goes first

	mu      sync.Mutex // guards pending
	pending map[types.NamespacedName]news
}

// news is what is to be written about one announcement.
type news struct {
	report  *report
	finding *finding
}

// under gives n with what is younger over it.
func (n news) under(younger news) news {
	return news{report: cmp.Or(younger.report, n.report), finding: cmp.Or(younger.finding, n.finding)}
}

// apply brings the news into a status; false: it says all that already, or is another's.
func (n news) apply(a *v1alpha1.VIPAnnouncement) bool {
	before := a.Status.DeepCopy()
	if n.report != nil && a.UID == n.report.uid {
		n.report.apply(&a.Status, a.Generation)
	}
	if n.finding != nil && a.UID == n.finding.uid {
		n.finding.apply(a)
	}
	return !equality.Semantic.DeepEqual(*before, a.Status)
}

func newReporter(c client.Client, log logr.Logger) *reporter {
	return &reporter{
		client: c, log: log, wake: make(chan struct{}, 1),
		pending: map[types.NamespacedName]news{},
	}
}

// put replaces what is still to be written of who speaks.
func (r *reporter) put(key types.NamespacedName, rep report) { r.add(key, news{report: &rep}) }

// found replaces what is still to be written of who else uses the addresses.
func (r *reporter) found(key types.NamespacedName, f finding) { r.add(key, news{finding: &f}) }

func (r *reporter) add(key types.NamespacedName, n news) {
	r.mu.Lock()
	r.pending[key] = r.pending[key].under(n)
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
	r.pending = map[types.NamespacedName]news{}
	r.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(reportWriters)
	for key, n := range round {
		group.Go(func() error {
			r.pace.calm(ctx)
			err := r.write(ctx, key, n)
			if err != nil {
				r.again(key, n, err)
			}
			return err
		})
	}
	return group.Wait() == nil
}

// again puts back what could not be written, unless there is something younger.
func (r *reporter) again(key types.NamespacedName, n news, err error) {
	if !errors.Is(err, context.Canceled) {
		r.log.Info("status not written", "announcement", key.String(), "err", err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[key] = n.under(r.pending[key])
}

// write brings news into the status of the very announcement they are about.
func (r *reporter) write(ctx context.Context, key types.NamespacedName, n news) (err error) {
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
		if !n.apply(&a) {
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
