// SPDX-License-Identifier: Apache-2.0

// Package roster is what the manager knows of nodes: what the Node objects say, what the
// agents tell of their interfaces, and when an agent was last heard.
//
// It promises that a heartbeat is judged by the time of its arrival here, never by the
// time written in it, and that neither a heartbeat nor its absence is a change that
// anybody is told of.
package roster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/follow"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
)

const (
	// defaultLease is the duration of a heartbeat Lease that does not say it.
	defaultLease = 6 * time.Second
	// silentAfter is how many durations without a heartbeat make a node silent.
	silentAfter = 3
)

// Changed says that something of the nodes changed that bears on who may speak.
type Changed struct{}

// Roster is safe for concurrent use.
type Roster struct {
	follow.Feed[Changed]
	now   func() time.Time
	began time.Time

	mu    sync.Mutex // guards all below
	nodes map[string]node
	facts map[string]v1alpha1.Facts // by the name of the facts Lease
	raw   map[string]string         // the text the facts were read from
	beats map[string]beat           // by the name of the node Lease
}

// node is what a Node object says, as far as it bears on who may speak.
type node struct {
	labels                           labels.Set
	drain                            string // the value of the annotation
	cordoned                         bool
	outOfService, networkUnavailable bool
	unready                          bool // bears on no rank
}

// beat is the last heartbeat of an agent.
type beat struct {
	version string    // resourceVersion of the Lease
	arrived time.Time // on the clock of this process
	length  time.Duration
	gone    bool // the Lease was deleted
}

// New gives an empty roster; now reads a clock.
func New(now func() time.Time) *Roster {
	return &Roster{now: now, began: now(), nodes: map[string]node{}, facts: map[string]v1alpha1.Facts{}, raw: map[string]string{}, beats: map[string]beat{}}
}

// Follow makes the roster follow the objects in the cache. It is called once, before the
// cache is started.
func (r *Roster) Follow(ctx context.Context, informers cache.Informers) error {
	return errors.Join(
		follow.Objects(ctx, &r.Feed, informers, &corev1.Node{}, r.putNode, r.dropNode),
		follow.Objects(ctx, &r.Feed, informers, &coordinationv1.Lease{}, r.putLease, r.dropLease),
	)
}

// putNode notes a node.
func (r *Roster) putNode(o *corev1.Node) {
	n := node{
		labels:       o.Labels,
		drain:        o.Annotations[v1alpha1.AnnotationDrain],
		cordoned:     o.Spec.Unschedulable,
		outOfService: slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool { return t.Key == placement.OutOfServiceTaint }),
		networkUnavailable: slices.ContainsFunc(o.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue
		}),
		unready: slices.ContainsFunc(o.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
		}),
	}
	r.mu.Lock()
	old, ok := r.nodes[o.Name]
	changed := !ok || !maps.Equal(old.labels, n.labels) || old.drain != n.drain || old.cordoned != n.cordoned ||
		old.outOfService != n.outOfService || old.networkUnavailable != n.networkUnavailable
	r.nodes[o.Name] = n
	r.mu.Unlock()
	if changed {
		r.Tell(Changed{})
	}
}

// dropNode forgets a node.
func (r *Roster) dropNode(o *corev1.Node) {
	r.mu.Lock()
	delete(r.nodes, o.Name)
	r.mu.Unlock()
	r.Tell(Changed{})
}

// putLease notes a heartbeat or the facts of a node.
func (r *Roster) putLease(l *coordinationv1.Lease) {
	switch watch := l.Labels[v1alpha1.LabelWatch]; {
	case watch == v1alpha1.WatchFacts:
		r.putFacts(l)
	case strings.HasPrefix(watch, v1alpha1.WatchNode("")):
		r.putBeat(l)
	}
}

// putFacts notes what an agent tells of its node. Facts that cannot be read count as none.
func (r *Roster) putFacts(l *coordinationv1.Lease) {
	text := l.Annotations[v1alpha1.AnnotationFacts]
	r.mu.Lock()
	changed := r.raw[l.Name] != text
	if changed {
		r.raw[l.Name] = text
		if facts, err := v1alpha1.ParseFacts(text); err == nil {
			r.facts[l.Name] = facts
		} else {
			delete(r.facts, l.Name)
		}
	}
	r.mu.Unlock()
	if changed {
		r.Tell(Changed{})
	}
}

// putBeat notes a heartbeat; the same one seen again is none.
func (r *Roster) putBeat(l *coordinationv1.Lease) {
	length := defaultLease
	if s := l.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		length = time.Duration(*s) * time.Second
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.beats[l.Name].version != l.ResourceVersion {
		r.beats[l.Name] = beat{version: l.ResourceVersion, arrived: r.now(), length: length}
	}
}

// dropLease forgets a heartbeat or facts.
func (r *Roster) dropLease(l *coordinationv1.Lease) {
	r.mu.Lock()
	_, had := r.raw[l.Name]
	delete(r.raw, l.Name)
	delete(r.facts, l.Name)
	if b, ok := r.beats[l.Name]; ok {
		b.gone = true // when it was heard is still of use
		r.beats[l.Name] = b
	}
	r.mu.Unlock()
	if had {
		r.Tell(Changed{})
	}
}
