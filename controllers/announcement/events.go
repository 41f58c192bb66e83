// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
)

// noEligibleNode says that no node may speak, and why.
func noEligibleNode(s *corev1.Service, message string) journal.Entry {
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: v1alpha1.ReasonNoEligibleNode, Action: "Announce", Note: message}
}
