// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/controllers"
)

const agent = "arpeggio-agent"

// image makes a manager install agents.
func image(name string) func(*controllers.Options) {
	return func(o *controllers.Options) { o.AgentImage = name }
}

// daemonSet waits until the DaemonSet is as the check wants it.
func (w *world) daemonSet(check func(*appsv1.DaemonSet) error) *appsv1.DaemonSet {
	w.t.Helper()
	var ds appsv1.DaemonSet
	w.eventually(func(ctx context.Context) error {
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: system, Name: agent}, &ds); err != nil {
			return err
		}
		return check(&ds)
	})
	return &ds
}

// hasImage wants the agents to have this image.
func hasImage(name string) func(*appsv1.DaemonSet) error {
	return func(ds *appsv1.DaemonSet) error {
		if got := ds.Spec.Template.Spec.Containers[0].Image; got != name {
			return fmt.Errorf("image %q, want %q", got, name)
		}
		return nil
	}
}

func TestAgentsAreInstalled(t *testing.T) {
	w := newWorld(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}}
	w.create(account)
	stop := w.manager(image("registry.example/arpeggio:1"))
	ds := w.daemonSet(hasImage("registry.example/arpeggio:1"))

	if len(ds.OwnerReferences) != 1 || ds.OwnerReferences[0].UID != account.UID {
		t.Errorf("owned by %v", ds.OwnerReferences)
	}
	pod := ds.Spec.Template.Spec
	c := pod.Containers[0]
	var ns corev1.Namespace
	if err := w.client.Get(t.Context(), types.NamespacedName{Name: system}, &ns); err != nil {
		t.Fatal(err)
	}
	if want := []string{"agent", "--namespace=$(NAMESPACE)", "--node-name=$(NODE_NAME)", "--pod-uid=$(POD_UID)", "--installation=" + string(ns.UID), "--node-ips=$(NODE_IPS)", "--state-dir=/var/lib/arpeggio", "--mark-key-file=/etc/arpeggio/mark/key"}; !slices.Equal(c.Args, want) {
		t.Errorf("args %v", c.Args)
	}
	if !pod.HostNetwork || pod.ServiceAccountName != agent || len(c.Ports) != 0 || len(c.Resources.Limits) != 0 ||
		*pod.SecurityContext.RunAsNonRoot != true || *c.SecurityContext.ReadOnlyRootFilesystem != true || *c.SecurityContext.AllowPrivilegeEscalation != false ||
		!slices.Equal(c.SecurityContext.Capabilities.Add, []corev1.Capability{"NET_RAW"}) || !slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("pod %+v", pod)
	}
	surges(t, ds)
	w.eventuallyEvent(system, agent, "AgentsInstalled", "installed", "arpeggio:1")
	stop()

	// The same manager again writes nothing; a new image is written, and others' notes stay.
	ds.Annotations["note"] = "of somebody else"
	w.update(ds)
	stop = w.manager(image("registry.example/arpeggio:1"))
	time.Sleep(time.Second)
	if again := w.daemonSet(hasImage("registry.example/arpeggio:1")); again.ResourceVersion != ds.ResourceVersion {
		t.Error("the DaemonSet was written although nothing changed")
	}
	stop()
	stop = w.manager(image("registry.example/arpeggio:2"))
	if ds = w.daemonSet(hasImage("registry.example/arpeggio:2")); ds.Annotations["note"] == "" {
		t.Error("a foreign annotation is gone")
	}
	stop()

	// Their metrics are served when that is asked for, and not any more when it is not; the port
	// is none of the pod's, in which an upgrade would wait for it.
	stop = w.manager(image("registry.example/arpeggio:2"), func(o *controllers.Options) { o.AgentMetricsAddress = "0.0.0.0:9810" })
	ds = w.daemonSet(func(ds *appsv1.DaemonSet) error {
		if args := ds.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--metrics-bind-address=0.0.0.0:9810") {
			return fmt.Errorf("args %v", args)
		}
		return nil
	})
	if p := ds.Spec.Template.Spec.Containers[0].Ports; len(p) != 0 || ds.Spec.Template.Annotations["prometheus.io/port"] != "9810" {
		t.Errorf("ports %v, annotations %v", p, ds.Spec.Template.Annotations)
	}
	surges(t, ds)
	stop()
	stop = w.manager(image("registry.example/arpeggio:2"))
	ds = w.daemonSet(func(ds *appsv1.DaemonSet) error {
		if len(ds.Spec.Template.Annotations) != 0 || len(ds.Spec.Template.Spec.Containers[0].Args) != len(c.Args) {
			return fmt.Errorf("%v %v", ds.Spec.Template.Annotations, ds.Spec.Template.Spec.Containers[0].Args)
		}
		return nil
	})
	stop()

	// Without an image it is left alone.
	stop = w.manager()
	w.delete(ds)
	time.Sleep(500 * time.Millisecond)
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: system, Name: agent}, &appsv1.DaemonSet{}); !apierrors.IsNotFound(err) {
		t.Errorf("the DaemonSet is back: %v", err)
	}
	stop()
	w.manager(image("registry.example/arpeggio:2"))
	ds = w.daemonSet(hasImage("registry.example/arpeggio:2"))
	w.delete(ds)
	w.daemonSet(func(now *appsv1.DaemonSet) error {
		if now.UID == ds.UID {
			return errors.New("not yet deleted")
		}
		return nil
	})
}

// surges wants an upgrade to have two agents on a node for a while, and nothing in the pod
// for which there is room once on a host.
func surges(t *testing.T, ds *appsv1.DaemonSet) {
	t.Helper()
	u := ds.Spec.UpdateStrategy
	if u.Type != appsv1.RollingUpdateDaemonSetStrategyType || u.RollingUpdate.MaxSurge.IntValue() != 1 || u.RollingUpdate.MaxUnavailable.IntValue() != 0 || ds.Spec.MinReadySeconds != 0 {
		t.Errorf("update strategy %+v, ready after %d s", u, ds.Spec.MinReadySeconds)
	}
	c := ds.Spec.Template.Spec.Containers[0]
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.ValueFrom.FieldRef.FieldPath
	}
	if env["POD_UID"] != "metadata.uid" || env["NODE_IPS"] != "status.hostIPs" {
		t.Errorf("environment %v", env)
	}
	for _, p := range []struct {
		probe *corev1.Probe
		want  []string
	}{
		{c.LivenessProbe, []string{"/arpeggio", "agent", "health"}},
		{c.ReadinessProbe, []string{"/arpeggio", "agent", "health", "--ready"}},
	} {
		// The kubelet would make "$(POD_UID)" in a probe's command an empty string.
		if p.probe.Exec == nil || !slices.Equal(p.probe.Exec.Command, p.want) {
			t.Errorf("probe %+v, want %q", p.probe.ProbeHandler, p.want)
		}
	}
	if len(c.VolumeMounts) != 2 || c.VolumeMounts[0].MountPath != "/var/lib/arpeggio" || c.VolumeMounts[0].ReadOnly ||
		ds.Spec.Template.Spec.Volumes[0].EmptyDir == nil || ds.Spec.Template.Spec.Volumes[0].EmptyDir.Medium != "" {
		t.Errorf("volumes %+v", ds.Spec.Template.Spec.Volumes)
	}
}

// markKey waits until there is a Secret with the agents' key.
func (w *world) markKey() *corev1.Secret {
	w.t.Helper()
	var s corev1.Secret
	w.eventually(func(ctx context.Context) error {
		return w.client.Get(ctx, types.NamespacedName{Namespace: system, Name: "arpeggio-mark-key"}, &s)
	})
	return &s
}

// The key of the agents' marks is made before the agents, mounted, and never changed; it goes
// with the agents' account, as the DaemonSet does.
func TestMarkKey(t *testing.T) {
	w := newWorld(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}}
	w.create(account)
	stop := w.manager(image("registry.example/arpeggio:1"))
	ds := w.daemonSet(hasImage("registry.example/arpeggio:1"))
	s := w.markKey()
	if !regexp.MustCompile("^[0-9a-f]{32}$").Match(s.Data["key"]) || len(s.Data) != 1 || s.Immutable == nil || !*s.Immutable {
		t.Errorf("Secret %+v", s)
	}
	if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != account.UID || s.OwnerReferences[0].UID != ds.OwnerReferences[0].UID {
		t.Errorf("owned by %v", s.OwnerReferences)
	}
	spec := ds.Spec.Template.Spec
	if v := spec.Volumes[1]; v.Secret == nil || v.Secret.SecretName != s.Name || *v.Secret.DefaultMode != 0o444 || spec.Containers[0].VolumeMounts[1].Name != v.Name {
		t.Errorf("volumes %+v, mounts %+v", spec.Volumes, spec.Containers[0].VolumeMounts)
	}

	// Other managers, and other versions of the agents, leave it as it is.
	stop()
	stop = w.manager(image("registry.example/arpeggio:2"))
	w.daemonSet(hasImage("registry.example/arpeggio:2"))
	if again := w.markKey(); again.ResourceVersion != s.ResourceVersion {
		t.Error("the Secret was written although nothing changed")
	}

	// A key that is deleted is replaced, and it is said how the agents get the new one.
	w.delete(s)
	w.eventually(func(context.Context) error {
		if again := w.markKey(); again.UID == s.UID || string(again.Data["key"]) == string(s.Data["key"]) {
			return errors.New("there is no new key")
		}
		return nil
	})
	w.eventuallyEvent(system, agent, "MarkKeyMade", "restart all of them at once: kubectl -n arpeggio-system delete pods -l")

	// The account is made anew: what it owned is not to be collected.
	w.delete(account)
	account = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}}
	before := w.markKey()
	w.create(account)
	w.eventually(func(context.Context) error {
		if now := w.markKey(); now.OwnerReferences[0].UID != account.UID || string(now.Data["key"]) != string(before.Data["key"]) {
			return fmt.Errorf("owned by %v", now.OwnerReferences)
		}
		return nil
	})
	stop()
}

// A key that somebody made is his, and one that is of no use hinders only those who need it.
func TestMarkKeyOfTheUser(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}})
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "arpeggio-mark-key"}, StringData: map[string]string{"key": "tooshort"}}
	w.create(s)
	w.manager(image("registry.example/arpeggio:1"))
	w.daemonSet(hasImage("registry.example/arpeggio:1"))
	w.eventuallyEvent(system, agent, "MarkKeyInvalid", `its entry "key" is not 32 hexadecimal digits`, "kubectl -n arpeggio-system delete secret arpeggio-mark-key")
	for _, note := range w.eventsIn(system, agent, "MarkKeyInvalid") {
		if strings.Contains(note, "tooshort") {
			t.Errorf("the key is told: %s", note)
		}
	}
	if again := w.markKey(); again.ResourceVersion != s.ResourceVersion {
		t.Error("it was written")
	}
	s = w.markKey()
	s.Data["key"] = []byte("00112233445566778899aabbccddeeff")
	w.update(s)
	time.Sleep(700 * time.Millisecond)
	if again := w.markKey(); again.ResourceVersion != s.ResourceVersion || len(again.OwnerReferences) != 0 {
		t.Error("it was written")
	}
	if n := w.eventsIn(system, agent, "MarkKeyInvalid"); len(n) != 1 {
		t.Errorf("%q", n)
	}
}

func TestForeignDaemonSetIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}})
	labels := map[string]string{"app": "other"}
	foreign := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "other"}}},
		}},
	}
	w.create(foreign)
	w.manager(image("registry.example/arpeggio:1"))
	w.eventuallyEvent(system, agent, "NotManaged", "left alone")
	if ds := w.daemonSet(hasImage("other")); ds.ResourceVersion != foreign.ResourceVersion {
		t.Error("it was written")
	}
}

func TestRefusedPodsAreExplained(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: agent}})
	w.manager(image("registry.example/arpeggio:1"))
	ds := w.daemonSet(hasImage("registry.example/arpeggio:1"))
	ds.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, ObservedGeneration: ds.Generation}
	if err := w.client.Status().Update(t.Context(), ds); err != nil {
		t.Fatal(err)
	}
	w.eventuallyWithin(40*time.Second, func(context.Context) error {
		if notes := w.eventsIn(system, agent, "PodsRefused"); len(notes) != 1 {
			return fmt.Errorf("%q", notes)
		}
		return nil
	})
}
