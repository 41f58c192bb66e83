// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// historyLength is how many changes of the speaker a status keeps: Events are gone after
// an hour, the question "why did it move?" comes a week later.
const historyLength = 10

// report is what a status shall say; the youngest of a VIPAnnouncement counts.
type report struct {
	uid     types.UID // of the announcement
	node    string    // that reports
	epoch   v1alpha1.Epoch
	reason  string // of the condition Announced
	message string

	// While the node speaks; at is empty: it does not.
	at          []v1alpha1.SpokenAddress
	began       v1alpha1.Epoch // in which it began to
	transitions int32
	change      v1alpha1.Transition
	watched     *metav1.Condition // nil: not known yet
}

// report says that the node speaks.
func (s *speech) report(node string) report {
	return report{
		uid: s.uid, node: node, epoch: v1alpha1.NewEpoch(s.epoch.UID, s.epoch.Transitions),
		reason: v1alpha1.ReasonSpeaking, message: speakText(node, s.at, s.Speak),
		at: s.at, began: s.began, transitions: s.epoch.Transitions, watched: s.watched.condition(node),
		change: v1alpha1.Transition{
			From: s.From, To: node, When: s.when, Why: s.Why.String(), TookMillis: s.Took.Milliseconds(),
		},
	}
}

// hushReport says that it no longer does.
func (s *speech) hushReport(reason, node, why string) report {
	return report{
		uid: s.uid, node: node, epoch: v1alpha1.NewEpoch(s.epoch.UID, s.epoch.Transitions),
		reason: reason, message: fmt.Sprintf("node %s no longer speaks: %s", node, why),
	}
}

// apply brings the report into a status; false: the status is of a later epoch, or another
// node's to end.
func (r report) apply(s *v1alpha1.VIPAnnouncementStatus, generation int64) bool {
	if later(s.Epoch, r.epoch) {
		return false
	}
	c := metav1.Condition{
		Type: v1alpha1.Announced, Status: metav1.ConditionFalse, Reason: r.reason, Message: r.message,
		ObservedGeneration: generation,
	}
	if len(r.at) == 0 {
		if s.Node != r.node {
			return false
		}
		clearSpoken(s)
		s.Node, s.Addresses, s.Since = "", nil, nil
		meta.SetStatusCondition(&s.Conditions, c)
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.Watched)
		return true
	}
	if s.Node != r.node || (s.Epoch != r.began && !later(s.Epoch, r.began)) {
		s.Since = &r.change.When
		s.History = slices.Insert(s.History, 0, r.change)
		s.History = s.History[:min(len(s.History), historyLength)]
	}
	s.Node, s.Addresses, s.Epoch, s.Transitions = r.node, r.at, r.epoch, r.transitions
	clearSpoken(s)
	endConflicts(s, r.at, r.node, generation)
	c.Status = metav1.ConditionTrue
	meta.SetStatusCondition(&s.Conditions, c)
	if r.watched != nil {
		w := *r.watched
		w.ObservedGeneration = generation
		meta.SetStatusCondition(&s.Conditions, w)
	}
	return true
}

// later tells whether epoch a is of the same Lease as b and comes after it.
func later(a, b v1alpha1.Epoch) bool {
	aUID, at, aErr := a.Split()
	bUID, bt, bErr := b.Split()
	return aErr == nil && bErr == nil && aUID == bUID && at > bt
}
