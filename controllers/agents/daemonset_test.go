// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func wanted(t *testing.T, image string) (spec corev1.PodSpec, hash string) {
	t.Helper()
	ds, err := desired("arpeggio-system", image, "installation", &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: Name, UID: "account"}})
	if err != nil {
		t.Fatal(err)
	}
	u := ds.Spec.UpdateStrategy.RollingUpdate
	if u == nil || u.MaxSurge.IntValue() != 1 || u.MaxUnavailable.IntValue() != 0 {
		t.Errorf("update strategy %+v: an agent must be ready beside the old one before that one ends", u)
	}
	if o := ds.OwnerReferences; len(o) != 1 || o[0].Kind != "ServiceAccount" || o[0].UID != "account" {
		t.Errorf("owners %+v: a Deployment that is made anew must not take the agents with it", o)
	}
	return ds.Spec.Template.Spec, ds.Annotations[annotationHash]
}

// Two agents share a node during an upgrade: they may have nothing that only one can have.
func TestTwoAgentsFitOnANode(t *testing.T) {
	spec, _ := wanted(t, "image:v1")
	if !spec.HostNetwork {
		t.Error("not in the host's network")
	}
	for _, c := range spec.Containers {
		if len(c.Ports) > 0 {
			t.Errorf("container %s declares ports, which are ports of the host: %v", c.Name, c.Ports)
		}
		for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
			if p == nil || p.Exec == nil {
				t.Errorf("container %s is not asked by a command: %+v", c.Name, p)
			}
		}
	}
	for _, v := range spec.Volumes {
		if v.EmptyDir == nil {
			t.Errorf("volume %s outlives the pod or is shared: %+v", v.Name, v.VolumeSource)
		}
	}
}

func TestRights(t *testing.T) {
	spec, _ := wanted(t, "image:v1")
	for _, c := range spec.Containers {
		if len(c.Resources.Limits) > 0 {
			t.Errorf("container %s has limits %v: throttled, it looks dead to the others", c.Name, c.Resources.Limits)
		}
		s := c.SecurityContext
		if s == nil || s.Capabilities == nil || len(s.Capabilities.Add) != 1 || s.Capabilities.Add[0] != "NET_RAW" ||
			len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("container %s has the capabilities %+v, want NET_RAW and nothing else", c.Name, s)
		}
		if s != nil && (s.Privileged != nil && *s.Privileged || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation) {
			t.Errorf("container %s: %+v", c.Name, s)
		}
	}
	if s := spec.SecurityContext; s == nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context is %+v", s)
	}
}

// The hash says whether the agents are those that are wanted: the same in every manager, and
// another for another image.
func TestHash(t *testing.T) {
	_, one := wanted(t, "image:v1")
	_, again := wanted(t, "image:v1")
	_, other := wanted(t, "image:v2")
	if one == "" || one != again || one == other {
		t.Errorf("hashes %q, %q, and of another image %q", one, again, other)
	}
}
