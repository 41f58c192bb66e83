// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
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

	// moveTo is a node that hears this one only when it asks it alone: who looks for an
	// address for the first time asks all, and hears nobody.
	moveTo string
}

// deafAgain is how soon a node hands the same Lease over again because it does not hear
// broadcasts.
const deafAgain = 10 * time.Minute

// lookAround tells of each voice whether others hear it, when that has changed for good.
func (l *loop) lookAround(now election.Time) {
	if now < l.lookAt {
		return
	}
	l.lookAt = now + watchedEvery
	l.reviewFindings(now)
	l.ports.tellUnanswered(now)
	for _, r := range l.reigns {
		if s := r.speech; s != nil && s.at != nil {
			reason, by := l.hearing(r)
			if !s.watched.is(reason) {
				continue
			}
			l.report.put(s.key, s.report(l.config.Node))
			s.watched.moveTo = ""
			if reason == v1alpha1.ReasonBroadcastsLost && (r.deafAt == 0 || now-r.deafAt >= deafAgain) {
				s.watched.moveTo, r.deafAt = l.nodeOf[by], now
				l.log.Info("broadcasts do not reach this node: hands over", "lease", r.name, "to", s.watched.moveTo)
			}
			l.stepPolicy(r)
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

// hearing tells what others hear of a voice, and who said so if it is not heard by broadcast.
func (l *loop) hearing(r *reign) (reason string, by neighbor.MAC) {
	switch w := l.detector.Watched(r.name); {
	case !r.state.Contested():
		return v1alpha1.ReasonNoStandby, by
	case w.Deaf != neighbor.MAC{}:
		return v1alpha1.ReasonBroadcastsLost, w.Deaf
	case w.Hears:
		return v1alpha1.ReasonHeard, by
	case w.Bare:
		return v1alpha1.ReasonMarksLost, by
	case w.Asked:
		return v1alpha1.ReasonNotHeard, by
	default:
		return v1alpha1.ReasonNotAsked, by
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
		v1alpha1.ReasonBroadcastsLost: "other nodes hear node " + node + " only when they ask it alone: broadcasts and multicasts do not reach it (storm control, a multicast filter, " +
			"snooping without a querier?), so clients that look for the address for the first time find nobody; it hands over to a node that says so",
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
