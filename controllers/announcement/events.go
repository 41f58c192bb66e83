// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
	"github.com/arpeggio-lb/arpeggio/controllers/sight"
)

// noEligibleNode says that no node may speak, and why.
func noEligibleNode(s *corev1.Service, message string) journal.Entry {
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: v1alpha1.ReasonNoEligibleNode, Action: "Announce", Note: message}
}

// displaced says that a speaker may be replaced although it answers, and why.
func displaced(s *corev1.Service, owner string, d placement.Displacement) journal.Entry {
	note := fmt.Sprintf("another node may take over from %s even while it answers: its agent has not been heard for %v", owner, (d.Now - d.Heard).Round(100*time.Millisecond))
	if d.EndpointsKnown && d.Changed > d.Heard {
		note += ", and the endpoints of the Service changed meanwhile"
	}
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: v1alpha1.EventVIPDisplaced, Action: "Displace", Note: note}
}

// doubted says that announcements are not written, and why.
func doubted(installation *corev1.Namespace, v sight.Verdict) journal.Entry {
	note := fmt.Sprintf("%s: more likely the manager is cut off than all of them are gone; no announcement is written for %v, unless they are seen again sooner. What is announced stays announced", v.Why, v.For.Round(time.Second))
	return journal.Entry{Regarding: installation, Type: corev1.EventTypeWarning, Reason: v1alpha1.EventViewDoubted, Action: "Wait", Note: note}
}

// believed says that announcements are written again.
func believed(installation *corev1.Namespace, v sight.Verdict) journal.Entry {
	note := "announcements are written again: what was lost from view is seen again, or more than half of it"
	if !v.Restored {
		note = "announcements are written again: what was lost from view has not come back, and counts as gone"
	}
	return journal.Entry{Regarding: installation, Type: corev1.EventTypeNormal, Reason: v1alpha1.EventViewBelieved, Action: "Resume", Note: note}
}
