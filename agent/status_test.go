// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

var (
	before = metav1.NewTime(time.Unix(1000, 0))
	now    = metav1.NewTime(time.Unix(2000, 0))
	onEth0 = []v1alpha1.SpokenAddress{{Address: "192.0.2.240", Interface: "eth0", MAC: "02:00:00:00:00:01"}}
	onEth1 = []v1alpha1.SpokenAddress{{Address: "192.0.2.240", Interface: "eth1", MAC: "02:00:00:00:00:02"}}
)

// speaking is the speech of a node that began in one epoch and is in another.
func speaking(began, epoch int32) *speech {
	return &speech{
		Speak: election.Speak{Why: election.OwnerSilent, From: "n2", Took: 412 * time.Millisecond},
		began: v1alpha1.NewEpoch("uid", began), epoch: election.Lease{UID: "uid", Transitions: epoch},
		at: onEth0, when: now,
	}
}

// says gives a status in which a node has spoken since epoch e.
func says(node string, e int32, at []v1alpha1.SpokenAddress, history ...string) v1alpha1.VIPAnnouncementStatus {
	s := v1alpha1.VIPAnnouncementStatus{
		Node: node, Addresses: at, Since: &before, Epoch: v1alpha1.NewEpoch("uid", e), Transitions: e,
	}
	for _, to := range history {
		s.History = append(s.History, v1alpha1.Transition{To: to, When: before})
	}
	return s
}

func TestApply(t *testing.T) {
	took := v1alpha1.Transition{From: "n2", To: "n1", When: now, Why: "owner silent", TookMillis: 412}
	since := func(s v1alpha1.VIPAnnouncementStatus, t metav1.Time, history ...v1alpha1.Transition) v1alpha1.VIPAnnouncementStatus {
		s.Since, s.History = &t, history
		return s
	}
	silent := func(e int32) v1alpha1.VIPAnnouncementStatus {
		s := says("", e, nil)
		s.Since = nil
		return s
	}
	speaks := speaking(7, 7).report("n1")
	falls := speaking(7, 7).hushReport(v1alpha1.ReasonWithdrawn, "n1", "a reason")
	other := says("n2", 3, onEth1)
	other.Epoch = "other/9"
	for _, tt := range []struct {
		name string
		was  v1alpha1.VIPAnnouncementStatus
		rep  report
		want *v1alpha1.VIPAnnouncementStatus // nil: left alone
	}{
		{"first voice", v1alpha1.VIPAnnouncementStatus{}, speaks, new(since(says("n1", 7, onEth0), now, took))},
		{"takeover", says("n2", 6, onEth1), speaks, new(since(says("n1", 7, onEth0), now, took))},
		{"again after another reign", says("n1", 5, onEth0), speaks, new(since(says("n1", 7, onEth0), now, took))},
		{"of another Lease", other, speaks, new(since(says("n1", 7, onEth0), now, took))},
		{"agent started again", says("n1", 7, onEth0), speaks, new(says("n1", 7, onEth0))},
		{"another card", says("n1", 7, onEth1), speaks, new(says("n1", 7, onEth0))},
		{"taken back from who did not take it", says("n1", 7, onEth0), speaking(7, 9).report("n1"), new(since(says("n1", 9, onEth0), before))},
		{"late, another speaks by now", says("n2", 8, onEth1), speaks, nil},
		{"late, nobody speaks by now", silent(8), speaks, nil},
		{"silence", says("n1", 7, onEth0), falls, new(silent(7))},
		{"silence of one that was not reported", says("n1", 5, onEth0), falls, new(silent(5))},
		{"silence, another speaks by now", says("n2", 8, onEth1), falls, nil},
		{"silence, another is still told", says("n2", 6, onEth1), falls, nil},
		{"silence, it speaks again by now", says("n1", 9, onEth0), falls, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := *tt.was.DeepCopy()
			ok := tt.rep.apply(&got, 3)
			if tt.want == nil {
				if ok || !cmp.Equal(got, tt.was) {
					t.Errorf("got %v %+v, want it left alone", ok, got)
				}
				return
			}
			want := *tt.want
			want.Probed = []string{"192.0.2.240"} // it was spoken for
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(v1alpha1.VIPAnnouncementStatus{}, "Conditions")); diff != "" || !ok {
				t.Errorf("%v, (-want +got)\n%s", ok, diff)
			}
			c := meta.FindStatusCondition(got.Conditions, v1alpha1.Announced)
			if c == nil || (c.Status == metav1.ConditionTrue) != (got.Node != "") || c.Message == "" || c.ObservedGeneration != 3 {
				t.Errorf("condition %+v", c)
			}
			again := *got.DeepCopy()
			tt.rep.apply(&again, 3)
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("the same report again changes it: %s", diff)
			}
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var s v1alpha1.VIPAnnouncementStatus
	for i := range int32(25) {
		node := fmt.Sprintf("n%d", i%2)
		if !speaking(i, i).report(node).apply(&s, 1) {
			t.Fatalf("epoch %d refused", i)
		}
	}
	if len(s.History) != historyLength || s.History[0].To != "n0" || s.History[1].To != "n1" {
		t.Errorf("history %+v", s.History)
	}
}
