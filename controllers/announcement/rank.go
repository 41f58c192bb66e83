// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/arpeggio-lb/arpeggio/controllers/placement"
	"github.com/arpeggio-lb/arpeggio/controllers/sight"
)

const (
	// pause is how long a change for the worse waits for others of its kind: if they are
	// many, none is written.
	pause = time.Second
	// beat is how often it is looked whose heartbeat is overdue, and whether what the
	// manager sees can be believed.
	beat = time.Second
)

// rank ranks the nodes and remembers the answer, or says how long to wait because the view
// cannot be believed, or not yet.
func (r *Reconciler) rank(ctx context.Context, q *placement.Question) (ranking placement.Ranking, wait time.Duration) {
	well := r.roster.Well()
	m := r.memory
	m.mu.Lock()
	now := m.now()
	if len(q.Addresses) > 0 {
		ranking = m.spread.Rank(*q, now)
	}
	worse := ranking.Worse()
	since := m.sight.Announcement(now, q.Key, worse)
	m.sight.Nodes(now, well)
	v := m.sight.Judge(now)
	switch {
	case v.Blind:
		wait = v.For
	case worse && since < pause:
		wait = pause - since
	case len(q.Addresses) > 0:
		m.spread.Note(q.Key, q.Owner, ranking.Candidates, now)
	default:
		m.spread.Forget(q.Key)
	}
	m.mu.Unlock()
	r.judged(ctx, v)
	return ranking, wait
}

// judged says that the view is believed no more, or again.
func (r *Reconciler) judged(ctx context.Context, v sight.Verdict) {
	if !v.Changed {
		return
	}
	installation := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.namespace}}
	logger := log.FromContext(ctx).WithName("announcement")
	if v.Blind {
		blind.Set(1)
		logger.Info("writing no announcements: the view of the cluster is doubtful", "why", v.Why, "for", v.For)
		r.recorder.Record(doubted(installation, v))
		return
	}
	blind.Set(0)
	logger.Info("writing announcements again", "restored", v.Restored)
	r.recorder.Record(believed(installation, v))
	r.calls.Tell(r.all(ctx, nil))
}

// Start looks once a second whether what the manager sees can be believed, and which
// owners' heartbeats have become overdue or come again: no object changes by that.
func (r *Reconciler) Start(ctx context.Context) error {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.look(ctx)
		}
	}
}

// look is one look.
func (r *Reconciler) look(ctx context.Context) {
	well := r.roster.Well()
	m := r.memory
	m.mu.Lock()
	if !m.full {
		m.mu.Unlock()
		return
	}
	now := m.now()
	m.sight.Nodes(now, well)
	v := m.sight.Judge(now)
	var concerned []reconcile.Request
	overdue := map[string]bool{}
	for owner, services := range m.spread.Owned() {
		if r.roster.Overdue(owner) {
			overdue[owner] = true
		}
		if overdue[owner] == m.overdue[owner] {
			continue
		}
		for _, key := range services {
			namespace, name, _ := strings.Cut(key, "/")
			concerned = append(concerned, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
		}
	}
	m.overdue = overdue
	m.mu.Unlock()
	if len(concerned) > 0 {
		r.calls.Tell(concerned)
	}
	r.judged(ctx, v)
}
