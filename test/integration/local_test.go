// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// judged wants a condition of an announcement; lacks wants it not to be there.
func judged(kind string, status metav1.ConditionStatus, reason string, parts ...string) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		return condition(a.Status.Conditions, kind, status, reason, parts...)
	}
}

func lacks(kind string) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		if c := meta.FindStatusCondition(a.Status.Conditions, kind); c != nil {
			return fmt.Errorf("condition %s is there: %+v", kind, c)
		}
		return nil
	}
}

// all wants many things.
func all(checks ...func(*v1alpha1.VIPAnnouncement) error) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		var errs []error
		for _, c := range checks {
			errs = append(errs, c(a))
		}
		return errors.Join(errs...)
	}
}

// Under externalTrafficPolicy Local, the announcement carries the port on which kube-proxy
// tells whether it forwards, and says when nobody could.
func TestLocalSaysWhetherItServes(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.node("node2", card("eth0", "192.168.1.12/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	local := func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
	s := w.service("web", local)
	slice := w.slice("web", "node1")
	port := func(want int32) func(*v1alpha1.VIPAnnouncement) error {
		return func(a *v1alpha1.VIPAnnouncement) error {
			if a.Spec.HealthCheckNodePort != want {
				return fmt.Errorf("port %d, want %d", a.Spec.HealthCheckNodePort, want)
			}
			return nil
		}
	}
	w.get("web", s)
	if s.Spec.HealthCheckNodePort == 0 {
		t.Fatal("the API server gave no healthCheckNodePort")
	}
	w.announcement("web", all(candidates("node1"), port(s.Spec.HealthCheckNodePort), judged(v1alpha1.Serving, yes, v1alpha1.ReasonEndpointsReady), lacks(v1alpha1.EndpointsNameless)))
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")

	slice.Endpoints = ends() // while a node speaks, all vanish
	w.update(slice)
	w.announcement("web", all(candidates(), announced(yes, v1alpha1.ReasonSpeaking),
		judged(v1alpha1.Serving, no, v1alpha1.ReasonNoEndpoint, "externalTrafficPolicy is Local", "kube-proxy drops")))
	if l := w.lease("web"); *l.Spec.HolderIdentity != "node1" {
		t.Errorf("%+v", l.Spec)
	}

	slice.Endpoints = ends("", "node2", "")
	w.update(slice)
	w.announcement("web", all(candidates("node2"), judged(v1alpha1.Serving, yes, v1alpha1.ReasonEndpointsReady),
		judged(v1alpha1.EndpointsNameless, yes, v1alpha1.ReasonNodeNameMissing, "2 of 3 ready endpoints name no node")))
	slice.Endpoints = ends("")
	w.update(slice)
	w.announcement("web", all(candidates(), judged(v1alpha1.Serving, no, v1alpha1.ReasonNoEndpoint), judged(v1alpha1.EndpointsNameless, yes, v1alpha1.ReasonNodeNameMissing, "1 of 1")))

	w.get("web", s)
	s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyCluster, 0
	w.update(s)
	w.announcement("web", all(candidates("node1", "node2"), port(0), lacks(v1alpha1.Serving), lacks(v1alpha1.EndpointsNameless), announced(yes, v1alpha1.ReasonSpeaking)))
}

// Two addresses that no node can serve both: one is served, and it is said which is not.
func TestAddressUnserved(t *testing.T) {
	w := newWorld(t)
	w.node("four", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250", "fd00:1::240-fd00:1::250"))
	w.manager()
	w.service("web", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	w.announcement("web", all(candidates("four"), judged(v1alpha1.AddressUnserved, yes, v1alpha1.ReasonNoCommonCandidate, "nobody speaks for fd00:1::240 while four speaks")))
	w.service("single")
	w.announcement("single", all(candidates("four"), lacks(v1alpha1.AddressUnserved)))
	w.node("both", card("eth0", "192.168.1.12/24", "fd00:1::12/64"))
	w.announcement("web", all(candidates("both"), lacks(v1alpha1.AddressUnserved)))
}
