// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if want := []string{"agent", "--namespace=$(NAMESPACE)", "--node-name=$(NODE_NAME)", "--pod-uid=$(POD_UID)", "--installation=" + string(ns.UID), "--health-bind-address=127.0.0.1:9809"}; !slices.Equal(c.Args, want) {
		t.Errorf("args %v", c.Args)
	}
	if !pod.HostNetwork || pod.ServiceAccountName != agent || len(c.Ports) != 0 || len(c.Resources.Limits) != 0 ||
		*pod.SecurityContext.RunAsNonRoot != true || *c.SecurityContext.ReadOnlyRootFilesystem != true || *c.SecurityContext.AllowPrivilegeEscalation != false ||
		!slices.Equal(c.SecurityContext.Capabilities.Add, []corev1.Capability{"NET_RAW"}) || !slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("pod %+v", pod)
	}
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
