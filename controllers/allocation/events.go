// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
)

// annotationSharingKey asks for an address that is shared with other Services.
const annotationSharingKey = v1alpha1.Group + "/sharing-key"

const noSharing = "the annotation " + annotationSharingKey + " has no effect: this version does not share addresses between Services, each gets its own: remove the annotation"

// allocated says which addresses a Service has now, and which it had.
func allocated(s *corev1.Service, claims []ipam.Claim, before []string) journal.Entry {
	parts := make([]string, 0, len(claims))
	for _, c := range claims {
		parts = append(parts, c.Address.String()+" (VIPPool "+c.Pool+")")
	}
	note := "the Service has " + strings.Join(parts, " and ")
	if len(claims) == 0 {
		note = "the Service has no address any more"
	}
	if len(before) > 0 {
		note += ", before it had " + strings.Join(before, " and ")
	}
	return journal.Entry{Regarding: s, Type: corev1.EventTypeNormal, Reason: v1alpha1.EventAddressAllocated, Action: "Allocate", Note: note}
}

// refused says why a Service does not get what it asks for.
func refused(s *corev1.Service, message string) journal.Entry {
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: v1alpha1.ReasonAllocationFailed, Action: "Allocate", Note: message}
}

// sharingIgnored says that sharing is not there yet.
func sharingIgnored(s *corev1.Service) journal.Entry {
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: "SharingNotSupported", Action: "Allocate", Note: noSharing}
}
