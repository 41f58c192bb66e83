// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// FromObject gives a Service's Lease as the election knows it.
func FromObject(l *coordinationv1.Lease) election.Lease {
	e := election.Lease{
		UID:             string(l.UID),
		ResourceVersion: l.ResourceVersion,
		ServiceUID:      l.Annotations[v1alpha1.AnnotationServiceUID],
	}
	if l.Spec.LeaseTransitions != nil {
		e.Transitions = *l.Spec.LeaseTransitions
	}
	if l.Spec.HolderIdentity != nil {
		e.Holder = *l.Spec.HolderIdentity
	}
	return e
}

// Store reads and writes Leases for the election. All reads are of a quorum.
type Store struct {
	Client    client.Client
	Namespace string
}

// Read reads a Service's Lease; nil: there is none.
func (s Store) Read(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	var l coordinationv1.Lease
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &l)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absence is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("reading Lease %q: %w", name, err)
	}
	return &l, nil
}

// Swap writes holder and transitions, if the Lease is still the very one that was seen: the
// server compares UID and resourceVersion. Everything else of it stays as it was seen.
func (s Store) Swap(ctx context.Context, seen *coordinationv1.Lease, holder string, transitions int32) (*coordinationv1.Lease, error) {
	l := seen.DeepCopy()
	l.Spec.HolderIdentity = &holder
	l.Spec.LeaseTransitions = &transitions
	l.Spec.AcquireTime = &metav1.MicroTime{Time: time.Now()} // for people; nobody computes with it
	if err := s.Client.Update(ctx, l); err != nil {
		return nil, fmt.Errorf("giving Lease %q to %q: %w", l.Name, holder, err)
	}
	return l, nil
}

// Beat is another node's heartbeat as a read found it.
type Beat struct {
	// Seen changes with every heartbeat; empty: there is none.
	Seen string
	// Leaving is set while that node's agent shuts down.
	Leaving bool
}

// ReadBeat reads another node's heartbeat.
func (s Store) ReadBeat(ctx context.Context, node string) (Beat, error) {
	var l coordinationv1.Lease
	name := v1alpha1.NodeLease(node)
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, &l)
	if apierrors.IsNotFound(err) {
		return Beat{}, nil
	}
	if err != nil {
		return Beat{}, fmt.Errorf("reading heartbeat %q: %w", name, err)
	}
	return Beat{
		Seen:    string(l.UID) + "/" + l.ResourceVersion,
		Leaving: l.Annotations[v1alpha1.AnnotationLeaving] == "true",
	}, nil
}
