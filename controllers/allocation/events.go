// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
)

// annotationSharingKey asks for an address that is shared with other Services.
const annotationSharingKey = v1alpha1.Group + "/sharing-key"

const noSharing = "the annotation " + annotationSharingKey + " has no effect: this version does not share addresses between Services, each gets its own: remove the annotation"

// allocated says which of the addresses that it was given a Service shows now, and which it
// showed before.
func allocated(s *corev1.Service, claims []ipam.Claim, shown, before []string) journal.Entry {
	var has, waits []string
	for _, c := range claims {
		if slices.Contains(shown, c.Address.String()) {
			has = append(has, c.Address.String()+" (VIPPool "+c.Pool+")")
		} else {
			waits = append(waits, c.Address.String())
		}
	}
	note := "the Service has " + strings.Join(has, " and ")
	switch {
	case len(has) == 0 && len(waits) > 0:
		note = "the Service shows no address of its own until " + strings.Join(waits, " and ") + " was found to be free"
	case len(has) == 0:
		note = "the Service has no address any more"
	}
	if len(before) > 0 {
		note += ", before it had " + strings.Join(before, " and ")
	}
	return journal.Entry{Regarding: s, Type: corev1.EventTypeNormal, Reason: v1alpha1.EventAddressAllocated, Action: "Allocate", Note: note}
}

// refused says why a Service does not get what it asks for, or keeps an address that
// another host uses.
func refused(s *corev1.Service, refusal *ipam.Refusal) journal.Entry {
	reason := v1alpha1.ReasonAllocationFailed
	if refusal.Reason == ipam.Contested {
		reason = v1alpha1.EventAddressConflict
	}
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: reason, Action: "Allocate", Note: refusal.Error()}
}

// setAside says that the Service has another address because another host uses the one it
// had.
func setAside(s *corev1.Service, x ipam.Replacement) journal.Entry {
	note := fmt.Sprintf("another host, %s, uses %s, as %s heard: the Service has %s instead, and nobody gets %s for %s. Find that host, or take the address out of VIPPool %s (spec.exclude)",
		x.MAC, x.Was.Address, x.Reporter, x.By, x.Was.Address, duration.HumanDuration(ipam.RestAside), x.Was.Pool)
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: v1alpha1.EventAddressSetAside, Action: "SetAside", Note: note}
}

// yielded says that an address the Service keeps is not announced for a while.
func yielded(s *corev1.Service, x ipam.Pause) journal.Entry {
	note := fmt.Sprintf("another host, %s, uses %s, as %s heard, and VIPPool %s yields (conflictPolicy: Yield): the address stays the Service's, as it asked for it or brought it along, and is not announced for %s; then it is probed, and announced once that host is not heard",
		x.MAC, x.Was.Address, x.Reporter, x.Was.Pool, duration.HumanDuration(ipam.RestYielded))
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: v1alpha1.EventAddressConflict, Action: "Yield", Note: note}
}

// sharingIgnored says that sharing is not there yet.
func sharingIgnored(s *corev1.Service) journal.Entry {
	return journal.Entry{Regarding: s, Type: corev1.EventTypeWarning, Reason: "SharingNotSupported", Action: "Allocate", Note: noSharing}
}
