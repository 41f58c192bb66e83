// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// watchedEvery is how often it is found whether others hear this node, and watchedTimes
	// how often in a row something new must be found before it is told: standbys start
	// again, and a busy node asks late.
	watchedEvery = 2 * time.Second
	watchedTimes = 3
)

// watched follows whether the others hear a voice.
type watched struct {
	told  string // the reason that was told; empty: none
	found string // the one found last
	times int    // in a row
}

// lookAround tells of each voice whether others hear it, when that has changed for good.
func (l *loop) lookAround(now election.Time) {
	if now < l.lookAt {
		return
	}
	l.lookAt = now + watchedEvery
	l.reviewFindings(now)
	for _, r := range l.reigns {
		if s := r.speech; s != nil && s.at != nil {
			if reason := l.hearing(r); s.watched.is(reason) {
				l.report.put(s.key, s.report(l.config.Node))
			}
		}
	}
}

// is notes a finding, and tells whether it is news.
func (w *watched) is(reason string) bool {
	if w.found != reason {
		w.found, w.times = reason, 0
	}
	w.times++
	if w.times < watchedTimes || w.told == reason {
		return false
	}
	w.told = reason
	return true
}

func (l *loop) hearing(r *reign) string {
	switch w := l.detector.Watched(r.name); {
	case !r.state.Contested():
		return v1alpha1.ReasonNoStandby
	case w.Hears:
		return v1alpha1.ReasonHeard
	case w.Bare:
		return v1alpha1.ReasonMarksLost
	case w.Asked:
		return v1alpha1.ReasonNotHeard
	default:
		return v1alpha1.ReasonNotAsked
	}
}

// condition says it in full; nil: nothing is known yet.
func (w watched) condition(node string) *metav1.Condition {
	const slow = "if it goes, another takes over by its heartbeat, which takes 6 to 10 s"
	message := map[string]string{
		v1alpha1.ReasonHeard:     "other nodes hear node " + node + ", and take over within a second if it goes",
		v1alpha1.ReasonNoStandby: "no other node may take over from node " + node,
		v1alpha1.ReasonNotAsked:  "node " + node + " hears no other node on the wire (isolated ports, or switches that answer ARP and ND in the nodes' place?); " + slow,
		v1alpha1.ReasonNotHeard:  "other nodes ask node " + node + " and do not hear its answers; " + slow,
		v1alpha1.ReasonMarksLost: "other nodes hear node " + node + " without the marks that agents put behind ARP and into ND (a device on the way takes them off?); " + slow,
	}[w.told]
	if w.told == "" {
		return nil
	}
	c := &metav1.Condition{Type: v1alpha1.Watched, Status: metav1.ConditionFalse, Reason: w.told, Message: message}
	if w.told == v1alpha1.ReasonHeard {
		c.Status = metav1.ConditionTrue
	}
	return c
}
