// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

func TestFingerprintOfEndpoints(t *testing.T) {
	no := false
	end := func(address, node string) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{address}, NodeName: &node}
	}
	unready := end("10.0.0.9", "c")
	unready.Conditions.Ready = &no
	slice := func(ends ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
		return discoveryv1.EndpointSlice{Endpoints: ends}
	}
	before := readEndpoints([]discoveryv1.EndpointSlice{slice(end("10.0.0.1", "a"), end("10.0.0.2", "b"))}).print
	for name, tc := range map[string]struct {
		list []discoveryv1.EndpointSlice
		same bool
	}{
		"another order":      {[]discoveryv1.EndpointSlice{slice(end("10.0.0.2", "b"), end("10.0.0.1", "a"))}, true},
		"two slices":         {[]discoveryv1.EndpointSlice{slice(end("10.0.0.2", "b")), slice(end("10.0.0.1", "a"))}, true},
		"one in both":        {[]discoveryv1.EndpointSlice{slice(end("10.0.0.2", "b"), end("10.0.0.1", "a")), slice(end("10.0.0.1", "a"))}, true},
		"one that is none":   {[]discoveryv1.EndpointSlice{slice(end("10.0.0.1", "a"), end("10.0.0.2", "b"), unready)}, true},
		"one less":           {[]discoveryv1.EndpointSlice{slice(end("10.0.0.1", "a"))}, false},
		"another pod":        {[]discoveryv1.EndpointSlice{slice(end("10.0.0.1", "a"), end("10.0.0.3", "b"))}, false},
		"it is on another":   {[]discoveryv1.EndpointSlice{slice(end("10.0.0.1", "a"), end("10.0.0.2", "c"))}, false},
		"all are gone":       {nil, false},
		"cut in other parts": {[]discoveryv1.EndpointSlice{slice(end("10.0.0.1", "a[10.0.0.2]b"))}, false},
	} {
		if got := readEndpoints(tc.list).print; (got == before) != tc.same {
			t.Errorf("%s: same: %v", name, got == before)
		}
	}
}

func TestJudgedConditions(t *testing.T) {
	on := map[string]bool{"n": true}
	for _, tc := range []struct {
		name string
		now  situation
		want map[string]string // by type: status/reason
	}{
		{"Cluster", situation{addresses: []string{"10.0.0.1"}, endpoints: endpoints{ready: 1, nameless: 1}}, nil},
		{"Local without address", situation{local: true}, nil},
		{"Local", situation{addresses: []string{"10.0.0.1"}, local: true, endpoints: endpoints{nodes: on, ready: 1}}, map[string]string{v1alpha1.Serving: "True/EndpointsReady"}},
		{"Local, none", situation{addresses: []string{"10.0.0.1"}, local: true}, map[string]string{v1alpha1.Serving: "False/NoEndpoint"}},
		{
			"Local, one names no node", situation{addresses: []string{"10.0.0.1"}, local: true, endpoints: endpoints{nodes: on, ready: 2, nameless: 1}},
			map[string]string{v1alpha1.Serving: "True/EndpointsReady", v1alpha1.EndpointsNameless: "True/NodeNameMissing"},
		},
		{"divided", situation{addresses: []string{"10.0.0.1", "fd00::1"}, divided: "why"}, map[string]string{v1alpha1.AddressUnserved: "True/NoCommonCandidate"}},
		{"divided by silence", situation{addresses: []string{"10.0.0.1", "fd00::1"}, divided: "why", common: true}, map[string]string{v1alpha1.AddressUnserved: "True/CommonCandidateSilent"}},
	} {
		status := v1alpha1.VIPAnnouncementStatus{Conditions: []metav1.Condition{{Type: v1alpha1.Announced, Status: metav1.ConditionTrue}}}
		situation{addresses: []string{"10.0.0.1", "fd00::1"}, local: true, divided: "x", endpoints: endpoints{ready: 1, nameless: 1}}.judge(&status, 6) // all that there are, before
		tc.now.judge(&status, 7)
		if meta.FindStatusCondition(status.Conditions, v1alpha1.Announced) == nil || len(status.Conditions) != 1+len(tc.want) {
			t.Errorf("%s: %+v", tc.name, status.Conditions)
		}
		for kind, want := range tc.want {
			c := meta.FindStatusCondition(status.Conditions, kind)
			if c == nil || string(c.Status)+"/"+c.Reason != want || c.ObservedGeneration != 7 || c.Message == "" {
				t.Errorf("%s: %+v, want %s", tc.name, c, want)
			}
		}
	}
}
