// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// ErrSuperseded says that another, newer agent beats for this node: this one has to stop.
var ErrSuperseded = errors.New("another agent has taken over this node's heartbeat")

// BeatConfig says what a Heartbeat writes.
type BeatConfig struct {
	Client      client.Client
	Namespace   string
	Node        string
	Incarnation string
	Every       time.Duration
	Lasts       time.Duration // the leaseDurationSeconds that is written, for people
	Now         func() election.Time
	// Sent is told of every beat before it is written: its stamp and when.
	Sent func(stamp metav1.MicroTime, at election.Time)
	Log  logr.Logger
}

// Heartbeat writes this node's Lease at a fixed interval.
type Heartbeat struct {
	BeatConfig

	leaving atomic.Bool
	kick    chan struct{}
	left    chan struct{} // closed once a beat that says leaving is written
}

// NewHeartbeat readies a heartbeat; it starts nothing.
func NewHeartbeat(c BeatConfig) *Heartbeat {
	return &Heartbeat{BeatConfig: c, kick: make(chan struct{}, 1), left: make(chan struct{})}
}

// String names the task.
func (h *Heartbeat) String() string { return "heartbeat" }

// Leave marks this node as leaving and waits until that is written.
func (h *Heartbeat) Leave(ctx context.Context) error {
	h.leaving.Store(true)
	h.Hurry()
	select {
	case <-h.left:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hurry has a heartbeat written at once, and does not wait for it.
func (h *Heartbeat) Hurry() {
	select {
	case h.kick <- struct{}{}:
	default: // one is about to be
	}
}

// Run beats until the context ends, or ErrSuperseded.
func (h *Heartbeat) Run(ctx context.Context) error {
	tick := time.NewTicker(h.Every)
	defer tick.Stop()
	var last *coordinationv1.Lease // nil: to be read
	beaten, left, failing := false, false, false
	for {
		leaving := h.leaving.Load()
		before := last
		l, err := h.beat(ctx, last, beaten, leaving)
		last, beaten = l, beaten || err == nil
		if err == nil && leaving && !left {
			left = true
			close(h.left)
		}
		switch {
		case errors.Is(err, ErrSuperseded):
			return err
		case before != nil && (apierrors.IsConflict(err) || apierrors.IsNotFound(err)):
			continue // somebody else wrote or deleted it: read it and see
		case err == nil && failing:
			h.Log.Info("heartbeat written again")
		case err != nil && !failing && ctx.Err() == nil:
			h.Log.Info("heartbeat not written, trying on", "err", err.Error())
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-h.kick:
		}
	}
}

// beat writes one heartbeat over the last one that was seen, or over what a read finds, or
// creates the Lease. Once this agent has beaten, another incarnation in the Lease is a
// newer agent's.
func (h *Heartbeat) beat(ctx context.Context, last *coordinationv1.Lease, beaten, leaving bool) (*coordinationv1.Lease, error) {
	l := last.DeepCopy()
	if l == nil {
		l = &coordinationv1.Lease{}
		key := client.ObjectKey{Namespace: h.Namespace, Name: v1alpha1.NodeLease(h.Node)}
		err := h.Client.Get(ctx, key, l)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("reading heartbeat %q: %w", key.Name, err)
		}
		other := l.Annotations[v1alpha1.AnnotationIncarnation]
		if err == nil && beaten && other != h.Incarnation {
			return nil, fmt.Errorf("%w: node %q, incarnation %q", ErrSuperseded, h.Node, other)
		}
	}
	stamp := metav1.NowMicro()
	h.fill(l, stamp, leaving)
	h.Sent(stamp, h.Now())
	write := h.update
	if l.ResourceVersion == "" {
		write = h.create
	}
	if err := write(ctx, l); err != nil {
		return nil, fmt.Errorf("writing heartbeat %q: %w", l.Name, err)
	}
	return l, nil
}

func (h *Heartbeat) update(ctx context.Context, l *coordinationv1.Lease) error {
	return h.Client.Update(ctx, l)
}

func (h *Heartbeat) create(ctx context.Context, l *coordinationv1.Lease) error {
	return h.Client.Create(ctx, l)
}

func (h *Heartbeat) fill(l *coordinationv1.Lease, stamp metav1.MicroTime, leaving bool) {
	l.Namespace, l.Name = h.Namespace, v1alpha1.NodeLease(h.Node)
	l.Labels = map[string]string{
		v1alpha1.LabelWatch:     v1alpha1.WatchNode(h.Node),
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
	}
	l.Annotations = map[string]string{v1alpha1.AnnotationIncarnation: h.Incarnation}
	if leaving {
		l.Annotations[v1alpha1.AnnotationLeaving] = "true"
	}
	seconds := int32(h.Lasts / time.Second)
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &h.Node, &seconds, &stamp
}

// WriteFacts writes this node's facts Lease, if it says something else than before.
func (s Store) WriteFacts(ctx context.Context, node string, facts v1alpha1.Facts) error {
	text, err := facts.Encode()
	if err != nil {
		return err
	}
	var l coordinationv1.Lease
	key := client.ObjectKey{Namespace: s.Namespace, Name: v1alpha1.FactsLease(node)}
	switch err := s.Client.Get(ctx, key, &l); {
	case apierrors.IsNotFound(err):
		l = coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name,
			Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchFacts, v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
			Annotations: map[string]string{v1alpha1.AnnotationFacts: text},
		}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &node}}
		if err := s.Client.Create(ctx, &l); err != nil {
			return fmt.Errorf("creating facts %q: %w", key.Name, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("reading facts %q: %w", key.Name, err)
	case l.Annotations[v1alpha1.AnnotationFacts] == text:
		return nil
	}
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Annotations[v1alpha1.AnnotationFacts] = text
	if err := s.Client.Update(ctx, &l); err != nil {
		return fmt.Errorf("writing facts %q: %w", key.Name, err)
	}
	return nil
}
