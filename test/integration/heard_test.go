// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const stranger = "02:00:00:00:00:99"

// hears writes what an agent does when it hears another host use an address.
func (w *world) hears(name, address, mac, reason string) {
	w.t.Helper()
	w.status(name, func(s *v1alpha1.VIPAnnouncementStatus) {
		s.Conflicts = append(s.Conflicts, v1alpha1.Conflict{Address: address, MAC: mac, Reporter: "node1", Interface: "eth0", Reason: reason, Since: metav1.Now()})
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.AddressConflict, Status: yes, Reason: reason, Message: address + " is used by " + mac})
	})
}

// probed writes what an agent does when it finds addresses free.
func (w *world) probed(name string, ips ...string) {
	w.t.Helper()
	w.status(name, func(s *v1alpha1.VIPAnnouncementStatus) { s.Probed = ips })
}

// status changes the status of an announcement, once there is one.
func (w *world) status(name string, change func(*v1alpha1.VIPAnnouncementStatus)) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var a v1alpha1.VIPAnnouncement
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &a); err != nil {
			return err
		}
		change(&a.Status)
		return w.client.Status().Update(ctx, &a)
	})
}

// announces wants an announcement to have just these addresses.
func announces(ips ...string) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		var got []string
		for _, x := range a.Spec.Addresses {
			got = append(got, x.Address)
		}
		if !slices.Equal(got, ips) {
			return fmt.Errorf("announced are %v, want %v", got, ips)
		}
		return nil
	}
}

// isAside waits until the claim of an address is set aside in this way.
func (w *world) isAside(address, how, mac string) *networkingv1.IPAddress {
	w.t.Helper()
	var c *networkingv1.IPAddress
	w.eventually(func(context.Context) error {
		if c = w.claim(address); c == nil {
			return fmt.Errorf("%s is not claimed", address)
		}
		if c.Labels[v1alpha1.LabelSetAside] != how || c.Annotations[v1alpha1.AnnotationSetAsideMAC] != mac {
			return fmt.Errorf("claim %s: %v %v", address, c.Labels, c.Annotations)
		}
		since, err := time.Parse(time.RFC3339, c.Annotations[v1alpha1.AnnotationSetAsideSince])
		if how != "" && (err != nil || time.Since(since) > time.Minute) {
			return fmt.Errorf("set aside since %v: %w", c.Annotations, err)
		}
		return nil
	})
	return c
}

// ages makes a claim be set aside for a longer time than it is.
func (w *world) ages(address string, by time.Duration) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		c := w.claim(address)
		if c == nil {
			return errors.New("it is not claimed")
		}
		c.Annotations[v1alpha1.AnnotationSetAsideSince] = time.Now().Add(-by).UTC().Format(time.RFC3339)
		return w.client.Update(ctx, c)
	})
}

// stays wants a Service to show these addresses for a while.
func (w *world) stays(name string, ips ...string) {
	w.t.Helper()
	time.Sleep(700 * time.Millisecond)
	if got := w.ips(name); !slices.Equal(got, ips) {
		w.t.Errorf("Service %s shows %v, want %v", name, got, ips)
	}
}

// shown notes what a Service shows from now on; the result gives each state once.
func (w *world) shown(name string) (seen func() string) {
	w.t.Helper()
	c, err := client.NewWithWatch(server.config, client.Options{Scheme: w.client.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	watcher, err := c.Watch(w.t.Context(), &corev1.ServiceList{}, client.InNamespace(w.namespace))
	if err != nil {
		w.t.Fatal(err)
	}
	all := make(chan []string, 1)
	go func() {
		var texts []string
		for e := range watcher.ResultChan() {
			s, ok := e.Object.(*corev1.Service)
			if !ok || s.Name != name {
				continue
			}
			text := ""
			for _, in := range s.Status.LoadBalancer.Ingress {
				text += in.IP
			}
			if len(texts) == 0 || texts[len(texts)-1] != text {
				texts = append(texts, text)
			}
		}
		all <- texts
	}()
	return func() string {
		time.Sleep(300 * time.Millisecond) // the watch may be behind
		watcher.Stop()
		return strings.Join(<-all, " ")
	}
}
