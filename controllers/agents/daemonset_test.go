// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func wanted(t *testing.T, image string) (spec corev1.PodSpec, hash string) {
	t.Helper()
	pod, hash := wantedOf(t, Pods{Image: image})
	return pod.Spec, hash
}

func wantedOf(t *testing.T, pods Pods) (pod corev1.PodTemplateSpec, hash string) {
	t.Helper()
	ds, err := desired("arpeggio-system", pods, "installation", &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: Name, UID: "account"}})
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
	return ds.Spec.Template, ds.Annotations[annotationHash]
}

// Two agents share a node during an upgrade: they may have nothing that only one can have.
func TestTwoAgentsFitOnANode(t *testing.T) {
	pod, _ := wantedOf(t, Pods{Image: "image:v1", MetricsAddress: "0.0.0.0:9810"})
	spec := pod.Spec
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
		if v.EmptyDir == nil && v.Secret == nil {
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

// The agents' user reads the key from where the agent is told that it is, and cannot write it.
func TestKeyIsMounted(t *testing.T) {
	spec, _ := wanted(t, "image:v1")
	c := spec.Containers[0]
	if !slices.Contains(c.Args, "--mark-key-file=/etc/arpeggio/mark/key") {
		t.Errorf("arguments %q", c.Args)
	}
	m := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/etc/arpeggio/mark" })
	if m < 0 || !c.VolumeMounts[m].ReadOnly || c.VolumeMounts[m].SubPath != "" {
		t.Fatalf("mounts %+v", c.VolumeMounts)
	}
	v := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == c.VolumeMounts[m].Name })
	if v < 0 || spec.Volumes[v].Secret == nil || spec.Volumes[v].Secret.SecretName != "arpeggio-mark-key" {
		t.Fatalf("volumes %+v", spec.Volumes)
	}
	if mode := spec.Volumes[v].Secret.DefaultMode; spec.SecurityContext.FSGroup == nil && (mode == nil || *mode&0o004 == 0 || *mode&0o222 != 0) {
		t.Errorf("file mode %o: the file is root's, and the agent's user is not in its group", *mode)
	}
}

// A new key can be used, and is another each time; what is wrong with a key is said, and the
// key is not.
func TestKeys(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: Name, UID: "account"}}
	one, other := newKey("arpeggio-system", account), newKey("arpeggio-system", account)
	if why := checkKey(one.Data); why != "" || len(one.Data["key"]) != 32 || string(one.Data["key"]) == string(other.Data["key"]) {
		t.Errorf("keys %s and %s: %s", one.Data["key"], other.Data["key"], why)
	}
	if o := one.OwnerReferences; len(o) != 1 || o[0].UID != "account" || one.Immutable == nil || !*one.Immutable {
		t.Errorf("Secret %+v", one.ObjectMeta)
	}
	for text, want := range map[string]string{
		"00112233445566778899aabbccddeeff":   "",
		"00112233445566778899AABBCCDDEEFF\n": "",
		"00112233445566778899aabbccddee":     "not 32 hexadecimal digits",
		"00112233445566778899aabbccddeeffff": "not 32 hexadecimal digits",
		"secret":                             "not 32 hexadecimal digits",
		"":                                   "not 32 hexadecimal digits",
		strings.Repeat("0", 32):              "all zeros",
	} {
		got := checkKey(map[string][]byte{"key": []byte(text)})
		if (want == "") != (got == "") || !strings.Contains(got, want) || text != "" && strings.Contains(got, text) {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := checkKey(map[string][]byte{"mark": []byte("00112233445566778899aabbccddeeff")}); !strings.Contains(got, `no entry "key"`) {
		t.Error(got)
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
