// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

func service(holder string, transitions int32) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "svc.default.web", UID: "uid",
		Annotations: map[string]string{v1alpha1.AnnotationServiceUID: "service"},
	}}
	if holder != "" {
		l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &holder, &transitions
	}
	return l
}

func TestFromObject(t *testing.T) {
	for _, tt := range []struct {
		l    *coordinationv1.Lease
		want election.Lease
	}{
		{service("", 0), election.Lease{UID: "uid", ServiceUID: "service"}},
		{service("n1", 7), election.Lease{UID: "uid", ServiceUID: "service", Holder: "n1", Transitions: 7}},
	} {
		if diff := cmp.Diff(tt.want, lease.FromObject(tt.l)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSwap(t *testing.T) {
	a := newAPI(t, service("n2", 6))
	s := lease.Store{Client: a, Namespace: namespace}
	seen, err := s.Read(t.Context(), "svc.default.web")
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Swap(t.Context(), seen, "n1", 7)
	if err != nil {
		t.Fatal(err)
	}
	want := election.Lease{UID: "uid", ServiceUID: "service", Holder: "n1", Transitions: 7, ResourceVersion: got.ResourceVersion}
	if diff := cmp.Diff(want, lease.FromObject(got)); diff != "" {
		t.Error(diff)
	}
	if got.ResourceVersion == seen.ResourceVersion || got.Spec.AcquireTime == nil || *seen.Spec.HolderIdentity != "n2" {
		t.Errorf("wrote %+v over %+v", got, seen)
	}
	if _, err := s.Swap(t.Context(), seen, "n3", 7); !apierrors.IsConflict(err) {
		t.Errorf("over what was written since: %v", err)
	}
	if err := a.Delete(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Swap(t.Context(), got, "n3", 8); err == nil {
		t.Error("a Lease that is gone was written")
	}
	if l, err := s.Read(t.Context(), "svc.default.web"); l != nil || err != nil {
		t.Errorf("read %+v, %v", l, err)
	}
}

func TestReadBeat(t *testing.T) {
	a := newAPI(t)
	s := lease.Store{Client: a, Namespace: namespace}
	if b, err := s.ReadBeat(t.Context(), "n1"); err != nil || b != (lease.Beat{}) {
		t.Errorf("there is none: %+v, %v", b, err)
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "node.n1"}}
	if err := a.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	first, err := s.ReadBeat(t.Context(), "n1")
	if err != nil || first.Seen == "" || first.Leaving {
		t.Errorf("%+v, %v", first, err)
	}
	if again, _ := s.ReadBeat(t.Context(), "n1"); again != first {
		t.Errorf("%+v, then %+v, and nothing was written", first, again)
	}
	l.Annotations = map[string]string{v1alpha1.AnnotationLeaving: "true"}
	if err := a.Update(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if next, _ := s.ReadBeat(t.Context(), "n1"); next.Seen == first.Seen || !next.Leaving {
		t.Errorf("%+v, then %+v", first, next)
	}
	a.failing(errors.New("away"))
	if _, err := s.ReadBeat(t.Context(), "n1"); err == nil {
		t.Error("away, and no error")
	}
	if _, err := s.Read(t.Context(), "x"); err == nil || client.IgnoreNotFound(err) == nil {
		t.Errorf("away, and %v", err)
	}
}
