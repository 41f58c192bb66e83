// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// recorder writes Events (events.k8s.io); it never blocks and may drop under load.
type recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Actions of Events, in the sense of events.k8s.io/v1.
const (
	actionAnnounce = "Announce"
	actionWithdraw = "Withdraw"
)

// eventSpeak tells on the Service that this node began to speak.
func eventSpeak(r recorder, service *corev1.ObjectReference, node string, at []v1alpha1.SpokenAddress, s election.Speak) {
	r.Eventf(service, nil, corev1.EventTypeNormal, v1alpha1.EventVIPAnnounced, actionAnnounce,
		"%s", speakText(node, at, s))
}

// eventHush tells on the Service that this node fell silent, unless the next speaker's
// Event says it all.
func eventHush(r recorder, service *corev1.ObjectReference, node string, at []v1alpha1.SpokenAddress, h election.Hush) {
	switch {
	case h.Why == election.Gone || h.Why == election.Lost || h.Why == election.Outranked:
	case h.To != "":
		r.Eventf(service, nil, corev1.EventTypeNormal, v1alpha1.EventVIPHandedOver, actionWithdraw,
			"node %s handed %s over to %s: %s", node, addressList(at), h.To, h.Why)
	default:
		r.Eventf(service, nil, corev1.EventTypeWarning, v1alpha1.EventVIPWithdrawn, actionWithdraw,
			"node %s no longer speaks for %s: %s", node, addressList(at), h.Why)
	}
}

// speakText says who speaks since when and why: for the Event and the condition.
func speakText(node string, at []v1alpha1.SpokenAddress, s election.Speak) string {
	var b strings.Builder
	fmt.Fprintf(&b, "node %s now speaks for ", node)
	for i, a := range at {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s on %s (%s)", a.Address, a.Interface, a.MAC)
	}
	ms := s.Took.Round(time.Millisecond)
	switch s.Why {
	case election.Given:
		fmt.Fprintf(&b, ", handed over by %s within %s", s.From, ms)
	case election.OwnerSilent, election.Displaced:
		fmt.Fprintf(&b, ", takeover from %s after %s: %s", s.From, ms, s.Why)
	default:
		fmt.Fprintf(&b, ": %s", s.Why)
	}
	return b.String()
}

func addressList(at []v1alpha1.SpokenAddress) string {
	var names []string
	for _, a := range at {
		names = append(names, a.Address)
	}
	if len(names) == 0 {
		return "its addresses"
	}
	return strings.Join(names, ", ")
}
