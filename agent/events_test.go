// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

var dualStack = []v1alpha1.SpokenAddress{
	{Address: "192.0.2.240", Interface: "eth0", MAC: "02:00:00:00:00:01"},
	{Address: "192.0.2.240", Interface: "eth1", MAC: "02:00:00:00:00:02"},
	{Address: "2001:db8::f0", Interface: "eth0", MAC: "02:00:00:00:00:01"},
}

func TestSpeakText(t *testing.T) {
	for _, tt := range []struct {
		speak election.Speak
		at    []v1alpha1.SpokenAddress
		want  string
	}{
		{election.Speak{Why: election.Vacant}, onEth0, "node n1 now speaks for 192.0.2.240 on eth0 (02:00:00:00:00:01): nobody held the Lease"},
		{election.Speak{Why: election.Resumed}, onEth0, "node n1 now speaks for 192.0.2.240 on eth0 (02:00:00:00:00:01): the node's agent started again and the Lease still names it"},
		{
			election.Speak{Why: election.OwnerSilent, From: "n2", Took: 412*time.Millisecond + 300}, onEth0,
			"node n1 now speaks for 192.0.2.240 on eth0 (02:00:00:00:00:01), takeover from n2 after 412ms: owner silent",
		},
		{
			election.Speak{Why: election.Displaced, From: "n2", Took: time.Second}, onEth0,
			"node n1 now speaks for 192.0.2.240 on eth0 (02:00:00:00:00:01), takeover from n2 after 1s: owner displaced by the manager",
		},
		{
			election.Speak{Why: election.Given, From: "n2", Took: 40 * time.Millisecond}, dualStack,
			"node n1 now speaks for 192.0.2.240 on eth0 (02:00:00:00:00:01), 192.0.2.240 on eth1 (02:00:00:00:00:02), " +
				"2001:db8::f0 on eth0 (02:00:00:00:00:01), handed over by n2 within 40ms",
		},
	} {
		e := speakEvent(&speech{Speak: tt.speak, at: tt.at}, "n1")
		if e.note != tt.want || e.reason != v1alpha1.EventVIPAnnounced || e.kind != corev1.EventTypeNormal {
			t.Errorf("%s: %+v, want\n%s", tt.speak.Why, e, tt.want)
		}
	}
}

func TestHushEvent(t *testing.T) {
	for _, tt := range []struct {
		hush   election.Hush
		reason string // empty: no Event
		kind   string
		note   string
	}{
		{election.Hush{Why: election.Gone}, "", "", ""},
		{election.Hush{Why: election.Lost, To: "n2"}, "", "", ""},
		{election.Hush{Why: election.Outranked}, "", "", ""},
		{
			election.Hush{Why: election.Leaving, To: "n2"}, v1alpha1.EventVIPHandedOver, corev1.EventTypeNormal,
			"node n1 handed 192.0.2.240, 2001:db8::f0 over to n2: the node's agent shuts down",
		},
		{
			election.Hush{Why: election.Moved, To: "n2"}, v1alpha1.EventVIPHandedOver, corev1.EventTypeNormal,
			"node n1 handed 192.0.2.240, 2001:db8::f0 over to n2: a move was asked for",
		},
		{
			election.Hush{Why: election.CannotServe}, v1alpha1.EventVIPWithdrawn, corev1.EventTypeWarning,
			"node n1 no longer speaks for 192.0.2.240, 2001:db8::f0: the node has no interface to speak on",
		},
		{
			election.Hush{Why: election.CutOff}, v1alpha1.EventVIPWithdrawn, corev1.EventTypeWarning,
			"node n1 no longer speaks for 192.0.2.240, 2001:db8::f0: the node's heartbeats do not reach the API server",
		},
	} {
		e, ok := hushEvent(&speech{at: dualStack}, "n1", tt.hush)
		if ok != (tt.reason != "") || e.reason != tt.reason || e.kind != tt.kind || e.note != tt.note {
			t.Errorf("%s: %v %+v, want\n%s", tt.hush.Why, ok, e, tt.note)
		}
	}
}
