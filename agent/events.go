// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// event is an Event (events.k8s.io) on a Service.
type event struct {
	service                    corev1.ObjectReference
	kind, reason, action, note string
}

// Actions of Events, in the sense of events.k8s.io/v1.
const (
	actionAnnounce = "Announce"
	actionWithdraw = "Withdraw"
	actionProbe    = "Probe"
	actionDefend   = "Defend"
	actionListen   = "Listen"
)

// speakEvent tells on the Service that this node began to speak.
func speakEvent(s *speech, node string) event {
	return event{s.service, corev1.EventTypeNormal, v1alpha1.EventVIPAnnounced, actionAnnounce, speakText(node, s.at, s.Speak)}
}

// hushEvent tells on the Service that this node fell silent, unless the next speaker's
// Event says it all.
func hushEvent(s *speech, node string, h election.Hush) (e event, ok bool) {
	switch {
	case h.Why == election.Gone || h.Why == election.Lost || h.Why == election.Outranked:
		return event{}, false
	case h.To != "":
		note := fmt.Sprintf("node %s handed %s over to %s: %s", node, addressList(s.at), h.To, h.Reason())
		return event{s.service, corev1.EventTypeNormal, v1alpha1.EventVIPHandedOver, actionWithdraw, note}, true
	default:
		return withdrawnEvent(s, node, h.Reason()), true
	}
}

// withdrawnEvent warns that this node fell silent and nobody is known to speak instead.
func withdrawnEvent(s *speech, node, why string) event {
	note := fmt.Sprintf("node %s no longer speaks for %s: %s", node, addressList(s.at), why)
	return event{s.service, corev1.EventTypeWarning, v1alpha1.EventVIPWithdrawn, actionWithdraw, note}
}

// conflictEvent warns that somebody else uses an address, and says what is done and what to do.
func conflictEvent(service corev1.ObjectReference, c v1alpha1.Conflict, of carried) event {
	action, done := actionProbe, outcome(c, false)+". Free it, or exclude it from its VIPPool; unless the Service asked for this very address, it gets another one"
	switch {
	case c.Reason == v1alpha1.ReasonProxyAnswers:
		action, done = actionListen, outcome(c, true)+". Switch its proxying off on this network"
	case !of.held && of.yields:
		action, done = actionListen, "the claim is not answered, as its VIPPool has conflictPolicy Yield. Take the address from that host"
	case !of.held:
		action, done = actionDefend, "the address is announced again whenever it is claimed, at most every 10 s. Take it from that host"
	}
	return event{service, corev1.EventTypeWarning, v1alpha1.EventAddressConflict, action, conflictText(c) + ": " + done}
}

// kernelEvent warns that a kernel answers for an address by itself.
func kernelEvent(service corev1.ObjectReference, c v1alpha1.Conflict) event {
	return event{service, corev1.EventTypeWarning, v1alpha1.EventKernelAnswers, actionListen, kernelText(c)}
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
	case election.OwnerSilent, election.OwnerDead, election.OwnerMute, election.OwnerLeft, election.Remembered, election.Displaced:
		fmt.Fprintf(&b, ", takeover from %s after %s: %s", s.From, ms, s.Why)
	default:
		fmt.Fprintf(&b, ": %s", s.Why)
	}
	return b.String()
}

// addressList names each address once, whatever the number of its interfaces.
func addressList(at []v1alpha1.SpokenAddress) string {
	var names []string
	for _, a := range at {
		if len(names) == 0 || names[len(names)-1] != a.Address {
			names = append(names, a.Address)
		}
	}
	return strings.Join(names, ", ")
}
