// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// order takes a node out of load balancing, or back in.
type order struct {
	patch  client.Patch
	status bool // it is of the node's status
}

// merge is an order by a merge patch.
func merge(text string) order {
	return order{patch: client.RawPatch(types.MergePatchType, []byte(text))}
}

// condition is an order by the node's condition NetworkUnavailable.
func condition(is corev1.ConditionStatus) order {
	return order{status: true, patch: client.RawPatch(types.StrategicMergePatchType,
		fmt.Appendf(nil, `{"status":{"conditions":[{"type":%q,"status":%q,"reason":"Test"}]}}`, corev1.NodeNetworkUnavailable, is))}
}

// leave: a node is told to take no part, in each of the ways there are: it hands over and
// loses nothing. Back in, it takes nothing back.
func (w *world) leave(t *testing.T) {
	const exclude, taint = corev1.LabelNodeExcludeBalancers, "node.kubernetes.io/out-of-service"
	for _, test := range []struct {
		name      string
		out, back order
		why       string
	}{
		{"label", merge(`{"metadata":{"labels":{"` + exclude + `":""}}}`), merge(`{"metadata":{"labels":{"` + exclude + `":null}}}`), exclude},
		{"drain", merge(`{"metadata":{"annotations":{"` + v1alpha1.AnnotationDrain + `":"new power supply"}}}`),
			merge(`{"metadata":{"annotations":{"` + v1alpha1.AnnotationDrain + `":null}}}`), "new power supply"},
		// The effect that evicts would take the pods away that answer.
		{"taint", merge(`{"spec":{"taints":[{"key":"` + taint + `","value":"nodeshutdown","effect":"NoSchedule"}]}}`),
			merge(`{"spec":{"taints":null}}`), taint},
		{"network", condition(corev1.ConditionTrue), condition(corev1.ConditionFalse), string(corev1.NodeNetworkUnavailable)},
	} {
		t.Run(test.name, func(t *testing.T) { w.leaves(t, "leave-"+test.name, test.out, test.back, test.why) })
	}
}

func (w *world) leaves(t *testing.T, name string, out, back order, why string) {
	w.serve(t, service(name, dual))
	old := w.spoken(t, name)
	t.Cleanup(func() {
		if err := w.order(context.WithoutCancel(t.Context()), old.Status.Node, back); err != nil {
			t.Error(err)
		}
	})
	watch := w.look(t, pace, addresses(t, old), probe.UDP, probe.HTTP)
	if err := w.order(t.Context(), old.Status.Node, out); err != nil {
		t.Fatal(err)
	}
	now := w.spokenBy(t, name, "another node", other(old.Status.Node))
	if got := now.Spec.Excluded[old.Status.Node]; !holds(got, why) {
		t.Errorf("the announcement excludes %v, want %s for %q", now.Spec.Excluded, old.Status.Node, why)
	}
	w.eventually(t, name, v1alpha1.EventVIPHandedOver, old.Status.Node, now.Status.Node, why)
	if err := w.order(t.Context(), old.Status.Node, back); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, func() error {
		if a := w.spoken(t, name); len(a.Spec.Excluded) > 0 || !slices.Contains(a.Spec.Candidates, old.Status.Node) {
			return fmt.Errorf("candidates %v, excluded %v", a.Spec.Candidates, a.Spec.Excluded)
		}
		return nil
	})
	time.Sleep(2 * time.Second) // in which it would move back
	seen := watch.end(t)
	w.handed(t, seen, old, now)
	w.unmoved(t, now)
}

// order gives an order to a node.
func (w *world) order(ctx context.Context, node string, o order) error {
	var n corev1.Node
	n.Name = node
	if o.status {
		return w.api.Status().Patch(ctx, &n, o.patch)
	}
	return w.api.Patch(ctx, &n, o.patch)
}
