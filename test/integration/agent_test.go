// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// node makes a Node with the facts and the heartbeat of an agent.
func (w *world) node(name string, interfaces ...v1alpha1.InterfaceFacts) *corev1.Node {
	w.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.create(n)
	w.facts(name, interfaces...)
	return n
}

// facts writes what the agent of a node would.
func (w *world) facts(node string, interfaces ...v1alpha1.InterfaceFacts) {
	w.t.Helper()
	w.tell(node, interfaces...)
	w.create(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: system, Name: v1alpha1.NodeLease(node),
		Labels: map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchNode(node)},
	}})
}

// tell writes the facts of a node and no heartbeat.
func (w *world) tell(node string, interfaces ...v1alpha1.InterfaceFacts) {
	w.t.Helper()
	text, err := v1alpha1.Facts{Version: "test", Interfaces: interfaces}.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.create(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: system, Name: v1alpha1.FactsLease(node),
		Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchFacts},
		Annotations: map[string]string{v1alpha1.AnnotationFacts: text},
	}})
}

// beat keeps the agents of all Nodes beating until the test ends, but for those that the
// test silences.
func (w *world) beat() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var nodes corev1.NodeList
			_ = w.client.List(ctx, &nodes)
			for _, n := range nodes.Items {
				w.mu.Lock()
				silent := w.silent[n.Name]
				w.mu.Unlock()
				if !silent {
					w.beatOnce(ctx, n.Name)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	}()
	w.t.Cleanup(func() { stop(); <-ended })
}

// beatOnce renews the heartbeat of a node, if it has one.
func (w *world) beatOnce(ctx context.Context, node string) {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"renewTime":"`+now+`"}}`))
	_ = w.client.Patch(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: v1alpha1.NodeLease(node)}}, patch)
}

// silence ends the heartbeats of nodes, or begins them again.
func (w *world) silence(silent bool, nodes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range nodes {
		w.silent[n] = silent
	}
}

// card is an interface on the LAN of the tests.
func card(name string, prefixes ...string) v1alpha1.InterfaceFacts {
	return v1alpha1.InterfaceFacts{Name: name, MAC: "02:00:00:00:00:01", Prefixes: prefixes}
}

// hold makes a node the holder of a Service's Lease, as its agent would.
func (w *world) hold(name, node string) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		l := w.lease(name)
		if l == nil {
			return errors.New("no Lease yet")
		}
		transitions := int32(1)
		if l.Spec.LeaseTransitions != nil {
			transitions = *l.Spec.LeaseTransitions + 1
		}
		l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &node, &transitions
		return w.client.Update(ctx, l)
	})
}

// speaks writes the status of an announcement as the speaking agent would; no node: as an
// agent that gives up would.
func (w *world) speaks(name, node string, ips ...string) {
	w.t.Helper()
	w.eventually(func(ctx context.Context) error {
		var a v1alpha1.VIPAnnouncement
		if err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &a); err != nil {
			return err
		}
		a.Status.Node, a.Status.Addresses = node, nil
		for _, ip := range ips {
			a.Status.Addresses = append(a.Status.Addresses, v1alpha1.SpokenAddress{Address: ip, Interface: "eth0", MAC: "02:00:00:00:00:01"})
		}
		c := metav1.Condition{Type: v1alpha1.Announced, Status: yes, Reason: v1alpha1.ReasonSpeaking, Message: node + " speaks"}
		if node == "" {
			c.Status, c.Reason, c.Message = no, v1alpha1.ReasonWithdrawn, "given up"
		}
		meta.SetStatusCondition(&a.Status.Conditions, c)
		return w.client.Status().Update(ctx, &a)
	})
}
