// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// one is a store with one Lease, and a loop that is stepped by hand.
type one struct {
	*loop

	stored *coordinationv1.Lease // nil: none
	err    error                 // of writes
	wrote  *coordinationv1.Lease // over which the last write went
}

func (o *one) Read(context.Context, string) (*coordinationv1.Lease, error) { return o.stored, nil }

func (o *one) Swap(_ context.Context, seen *coordinationv1.Lease, _ string, _ int32) (*coordinationv1.Lease, error) {
	o.wrote = seen
	return o.stored, o.err
}

func (*one) ReadBeat(context.Context, string) (lease.Beat, error) {
	return lease.Beat{}, errors.New("there is none")
}

func newOne(t *testing.T) *one {
	t.Helper()
	o := &one{}
	o.loop = newLoop(election.Defaults("n1"), o, Options{Node: "n1", Log: logr.Discard()})
	o.ctx = t.Context()
	return o
}

// answers waits for the calls under way, and gives what came of them.
func (o *one) answers() []answer {
	o.calls.Wait()
	var got []answer
	for len(o.in) > 0 {
		if a, ok := (<-o.in).(answer); ok {
			got = append(got, a)
		}
	}
	return got
}

func version(uid, v string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: "svc.default.web", UID: types.UID(uid), ResourceVersion: v,
		Labels: map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchService},
	}}
}

// A write goes over the very Lease the election has seen, whichever way it came; where
// that is not the last one, what is there is read.
func TestSwapGoesOverWhatWasSeen(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "x", nil)
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "x")
	for _, tt := range []struct {
		name    string
		seen    string // by the election
		stored  *coordinationv1.Lease
		err     error
		over    string // version written over; empty: nothing is written
		ok      bool
		learned string // version that is known afterwards
	}{
		{"as the watch has it", "1", version("a", "3"), nil, "1", true, "3"},
		{"as a read had it", "2", version("a", "3"), nil, "2", true, "3"},
		{"as nobody has it any more", "0", version("a", "3"), nil, "", false, "3"},
		{"others wrote", "2", version("a", "3"), conflict, "2", false, "3"},
		{"gone", "2", nil, gone, "2", false, "2"},
		{"made anew", "2", version("b", "3"), conflict, "2", false, "2"},
		{"away", "2", version("a", "3"), errors.New("away"), "2", false, "2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOne(t)
			o.take(leaseChanged{name: "svc.default.web", lease: version("a", "1")})
			r := o.reigns["svc.default.web"]
			o.take(answer{to: r, life: r.life, object: version("a", "2")})
			o.stored, o.err = tt.stored, tt.err

			o.swap(r, election.Swap{Attempt: 1, Lease: election.Lease{UID: "a", ResourceVersion: tt.seen}, Holder: "n1"})
			got := o.answers()
			if over := o.wrote; (over == nil) != (tt.over == "") || over != nil && over.ResourceVersion != tt.over {
				t.Errorf("wrote over %+v, want version %q", over, tt.over)
			}
			if done, is := got[0].event.(election.SwapDone); !is || done.OK != tt.ok || done.Attempt != 1 {
				t.Errorf("got %+v", got[0].event)
			}
			for _, a := range got {
				o.take(a)
			}
			if r.read.ResourceVersion != tt.learned {
				t.Errorf("knows version %s, want %s", r.read.ResourceVersion, tt.learned)
			}
		})
	}
}

// What was asked for by a reign that is no more is nobody's answer.
func TestLateAnswers(t *testing.T) {
	o := newOne(t)
	o.take(leaseChanged{name: "svc.default.web", lease: version("a", "1")})
	r := o.reigns["svc.default.web"]
	late := answer{to: r, life: r.life, object: version("a", "2")}
	o.start(r)
	o.take(late)
	if r.read != nil {
		t.Error("an answer of an earlier life was taken")
	}
	late.life = r.life
	o.take(leaseChanged{name: "svc.default.web"})
	o.take(leaseChanged{name: "svc.default.web", lease: version("b", "3")})
	o.take(late)
	if next := o.reigns["svc.default.web"]; next == r || next.read != nil || r.read != nil {
		t.Error("an answer for a Lease that is gone was taken")
	}
}
