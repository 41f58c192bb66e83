// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// historyLength is how many changes of the speaker a status keeps: Events are gone
	// after an hour, the question "why did it move?" comes a week later.
	historyLength = 10
	reportRetry   = 500 * time.Millisecond
)

// report is what a status shall say; the youngest of a VIPAnnouncement counts.
type report struct {
	service *corev1.ObjectReference
	epoch   v1alpha1.Epoch
	count   int32
	at      []v1alpha1.SpokenAddress
	speak   *election.Speak // set while this node speaks
	hush    *election.Hush  // set since it fell silent
	when    metav1.Time
}

// reporter writes statuses, one after the other, each again until it is written. A
// failover does not wait for it.
type reporter struct {
	client client.Client
	node   string
	log    logr.Logger

	mu      sync.Mutex // guards pending
	pending map[types.NamespacedName]report
	wake    chan struct{}
}

func newReporter(c client.Client, node string, log logr.Logger) *reporter {
	return &reporter{
		client: c, node: node, log: log,
		pending: map[types.NamespacedName]report{},
		wake:    make(chan struct{}, 1),
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

// Run writes until the context ends.
func (r *reporter) Run(ctx context.Context) error {
	for {
		failed := r.writeAll(ctx)
		var retry <-chan time.Time
		if failed {
			retry = time.After(reportRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-retry:
		}
	}
}

// flush writes what is left; for the shutdown.
func (r *reporter) flush(ctx context.Context) {
	for ctx.Err() == nil && r.writeAll(ctx) {
		time.Sleep(reportRetry / 10)
	}
}

// writeAll tries every pending report once; true if some are left.
func (r *reporter) writeAll(ctx context.Context) bool {
	r.mu.Lock()
	keys := make([]types.NamespacedName, 0, len(r.pending))
	for k := range r.pending {
		keys = append(keys, k)
	}
	r.mu.Unlock()
	left := false
	for _, key := range keys {
		r.mu.Lock()
		rep, ok := r.pending[key]
		delete(r.pending, key)
		r.mu.Unlock()
		if !ok {
			continue
		}
		if err := r.write(ctx, key, rep); err != nil {
			left = true
			if !apierrors.IsConflict(err) && !errors.Is(err, context.Canceled) {
				r.log.Info("status not written", "announcement", key.String(), "err", err.Error())
			}
			r.mu.Lock()
			if _, newer := r.pending[key]; !newer {
				r.pending[key] = rep
			}
			r.mu.Unlock()
		}
	}
	return left
}

func (r *reporter) write(ctx context.Context, key types.NamespacedName, rep report) error {
	var a v1alpha1.VIPAnnouncement
	if err := r.client.Get(ctx, key, &a); err != nil {
		return client.IgnoreNotFound(err)
	}
	before := a.Status.DeepCopy()
	if !apply(&a.Status, r.node, rep) || equality.Semantic.DeepEqual(*before, a.Status) {
		return nil
	}
	if err := r.client.Status().Update(ctx, &a); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the status of %s: %w", key, err)
	}
	return nil
}

// apply brings a report into a status; false: the status is of a later epoch.
func apply(s *v1alpha1.VIPAnnouncementStatus, node string, rep report) bool {
	if later(s.Epoch, rep.epoch) {
		return false
	}
	if rep.speak == nil {
		if s.Node != node {
			return false
		}
		s.Node, s.Addresses, s.Since = "", nil, nil
		if h := rep.hush; h.To == "" {
			reason := v1alpha1.ReasonWithdrawn
			if h.Why == election.CannotServe {
				reason = v1alpha1.ReasonNoInterface
			}
			meta.SetStatusCondition(&s.Conditions, metav1.Condition{
				Type: v1alpha1.Announced, Status: metav1.ConditionFalse, Reason: reason,
				Message: fmt.Sprintf("node %s no longer speaks: %s", node, h.Why),
			})
		}
		return true
	}
	if s.Epoch != rep.epoch || s.Node != node {
		s.Since = &rep.when
		s.History = slices.Insert(s.History, 0, v1alpha1.Transition{
			From: rep.speak.From, To: node, When: rep.when,
			Why: rep.speak.Why.String(), TookMillis: rep.speak.Took.Milliseconds(),
		})
		s.History = s.History[:min(len(s.History), historyLength)]
	}
	s.Node, s.Addresses, s.Epoch, s.Transitions = node, rep.at, rep.epoch, rep.count
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: v1alpha1.Announced, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSpeaking,
		Message: speakText(node, rep.at, *rep.speak),
	})
	return true
}

// later tells whether epoch a is of the same Lease as b and comes after it.
func later(a, b v1alpha1.Epoch) bool {
	aUID, at, aErr := a.Split()
	bUID, bt, bErr := b.Split()
	return aErr == nil && bErr == nil && aUID == bUID && at > bt
}
