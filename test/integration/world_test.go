// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers"
)

// world is the cluster as one test sees it: a namespace of its own, and no objects of the
// test before.
type world struct {
	t         *testing.T
	client    client.Client
	namespace string

	mu      sync.Mutex // guards all below
	silent  map[string]bool
	probing bool
}

// newWorld clears the cluster; managers are started by the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, client: server.client, silent: map[string]bool{}, probing: true}
	w.clear()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	w.create(ns)
	w.namespace = ns.Name
	t.Cleanup(w.clear)
	w.beat()
	w.probe()
	return w
}

// clear deletes what tests make.
func (w *world) clear() {
	ctx := context.Background()
	var services corev1.ServiceList
	if err := w.client.List(ctx, &services); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range services.Items {
		if s.Name != "kubernetes" {
			_ = w.client.Delete(ctx, &s)
		}
	}
	for _, o := range []client.Object{&v1alpha1.VIPPool{}, &corev1.Node{}} {
		if err := w.client.DeleteAllOf(ctx, o); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.client.DeleteAllOf(ctx, &networkingv1.IPAddress{}, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		w.t.Fatal(err)
	}
	namespaces := []string{system}
	if w.namespace != "" {
		namespaces = append(namespaces, w.namespace)
	}
	for _, ns := range namespaces {
		for _, o := range []client.Object{&coordinationv1.Lease{}, &v1alpha1.VIPAnnouncement{}, &appsv1.DaemonSet{}, &corev1.ServiceAccount{}, &corev1.Secret{}, &discoveryv1.EndpointSlice{}} {
			if err := w.client.DeleteAllOf(ctx, o, client.InNamespace(ns)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// manager starts a manager; stop ends it and waits until it has ended.
func (w *world) manager(change ...func(*controllers.Options)) (stop func()) {
	w.t.Helper()
	log := logr.Discard()
	if testing.Verbose() {
		log = testr.NewWithOptions(w.t, testr.Options{Verbosity: 0})
	}
	o := controllers.Options{Config: server.config, Namespace: system, Log: log}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- controllers.Run(ctx, o) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the manager ended: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// create creates an object, and keeps its status where that is a subresource.
func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), o); err != nil {
		w.t.Fatalf("creating %T: %v", o, err)
	}
}

// pool makes a VIPPool.
func (w *world) pool(name string, spec v1alpha1.VIPPoolSpec) *v1alpha1.VIPPool {
	w.t.Helper()
	p := &v1alpha1.VIPPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	w.create(p)
	return p
}

// service makes a Service of type LoadBalancer, changed as the test wants it.
func (w *world) service(name string, change ...func(*corev1.Service)) *corev1.Service {
	w.t.Helper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, c := range change {
		c(s)
	}
	w.create(s)
	return s
}

// annotated sets an annotation of a Service.
func annotated(key, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value) }
}

// stack sets the families of a Service.
func stack(policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = &policy, families }
}

// eventually waits until the check finds nothing wrong.
func (w *world) eventually(check func(ctx context.Context) error) {
	w.t.Helper()
	w.eventuallyWithin(patience, check)
}

func (w *world) eventuallyWithin(patience time.Duration, check func(ctx context.Context) error) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check(w.t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("after %v: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// isGone wants that an object is not there.
func (w *world) isGone(ctx context.Context, o client.Object, key types.NamespacedName) error {
	err := w.client.Get(ctx, key, o)
	if err == nil {
		return fmt.Errorf("%T %s is there", o, key)
	}
	return client.IgnoreNotFound(err)
}

// ips gives the addresses in the status of a Service.
func (w *world) ips(name string) []string {
	w.t.Helper()
	var s corev1.Service
	w.get(name, &s)
	var ips []string
	for _, in := range s.Status.LoadBalancer.Ingress {
		ips = append(ips, in.IP)
	}
	return ips
}

// get reads an object of the test's namespace.
func (w *world) get(name string, o client.Object) {
	w.t.Helper()
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: w.namespace, Name: name}, o); err != nil {
		w.t.Fatal(err)
	}
}

// shows waits until a Service shows just these addresses, as VIPs.
func (w *world) shows(name string, want ...string) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var s corev1.Service
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &s); err != nil {
			return err
		}
		var got []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			if in.IPMode == nil || *in.IPMode != corev1.LoadBalancerIPModeVIP {
				return fmt.Errorf("Service %s: ipMode of %s is not VIP", name, in.IP)
			}
			got = append(got, in.IP)
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			return fmt.Errorf("Service %s shows %v, want %v", name, got, want)
		}
		return nil
	})
}

// claim reads the claim of an address; nil: there is none.
func (w *world) claim(address string) *networkingv1.IPAddress {
	w.t.Helper()
	var o networkingv1.IPAddress
	err := w.client.Get(w.t.Context(), types.NamespacedName{Name: address}, &o)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &o
}

// announcement waits until the announcement of a Service is as the check wants it.
func (w *world) announcement(name string, check func(*v1alpha1.VIPAnnouncement) error) *v1alpha1.VIPAnnouncement {
	w.t.Helper()
	var a v1alpha1.VIPAnnouncement
	w.eventually(func(ctx context.Context) error {
		a = v1alpha1.VIPAnnouncement{}
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &a); err != nil {
			return err
		}
		return check(&a)
	})
	return &a
}

// condition wants a condition to have this reason, and a message with these parts.
func condition(conditions []metav1.Condition, kind string, status metav1.ConditionStatus, reason string, parts ...string) error {
	for _, c := range conditions {
		if c.Type != kind {
			continue
		}
		if c.Status != status || c.Reason != reason {
			return fmt.Errorf("condition %s is %s/%s (%s), want %s/%s", kind, c.Status, c.Reason, c.Message, status, reason)
		}
		for _, p := range parts {
			if !strings.Contains(c.Message, p) {
				return fmt.Errorf("the message of condition %s is %q, want %q in it", kind, c.Message, p)
			}
		}
		return nil
	}
	return fmt.Errorf("no condition %s", kind)
}

// lease reads the Lease of a Service; nil: there is none.
func (w *world) lease(name string) *coordinationv1.Lease {
	w.t.Helper()
	var l coordinationv1.Lease
	err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: system, Name: v1alpha1.ServiceLease(w.namespace, name)}, &l)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &l
}

// events gives the notes of the Events about an object of the test's namespace, by reason.
func (w *world) events(name, reason string) []string {
	w.t.Helper()
	return w.eventsIn(w.namespace, name, reason)
}

func (w *world) eventsIn(namespace, name, reason string) []string {
	w.t.Helper()
	var list eventsv1.EventList
	if err := w.client.List(w.t.Context(), &list, client.InNamespace(namespace)); err != nil {
		w.t.Fatal(err)
	}
	var notes []string
	for _, e := range list.Items {
		if e.Regarding.Name == name && e.Reason == reason {
			notes = append(notes, e.Note)
		}
	}
	return notes
}

// event waits for an Event about an object of the test's namespace with these parts in
// its note.
func (w *world) event(name, reason string, parts ...string) {
	w.t.Helper()
	w.eventuallyEvent(w.namespace, name, reason, parts...)
}

// eventuallyEvent waits for an Event in a namespace.
func (w *world) eventuallyEvent(namespace, name, reason string, parts ...string) {
	w.t.Helper()
	w.eventually(func(context.Context) error {
		notes := w.eventsIn(namespace, name, reason)
		for _, n := range notes {
			ok := true
			for _, p := range parts {
				ok = ok && strings.Contains(n, p)
			}
			if ok {
				return nil
			}
		}
		return fmt.Errorf("no Event %s about %s with %q: %q", reason, name, parts, notes)
	})
}

// update writes an object, whatever its resourceVersion: nobody but the manager, which
// writes only status, touches it meanwhile.
func (w *world) update(o client.Object) {
	w.t.Helper()
	o.SetResourceVersion("")
	switch o.(type) {
	case *v1alpha1.VIPPool, *v1alpha1.VIPAnnouncement, *coordinationv1.Lease:
		now := o.DeepCopyObject().(client.Object)
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), now); err != nil {
			w.t.Fatal(err)
		}
		o.SetResourceVersion(now.GetResourceVersion())
	}
	if err := w.client.Update(w.t.Context(), o); err != nil {
		w.t.Fatalf("updating %T: %v", o, err)
	}
}

// reread gives a pool as it is now.
func (w *world) reread(p *v1alpha1.VIPPool) *v1alpha1.VIPPool {
	w.t.Helper()
	var now v1alpha1.VIPPool
	if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
		w.t.Fatal(err)
	}
	return &now
}

// delete deletes an object.
func (w *world) delete(o client.Object) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), o); err != nil {
		w.t.Fatalf("deleting %T: %v", o, err)
	}
}
