// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// heard is the store of a node's Lease watch, and what it handed on: "+name" or "-name".
func heard(t *testing.T) (*Watch[*coordinationv1.Lease], *stream[*coordinationv1.Lease], func() []string) {
	t.Helper()
	var log []string
	w, err := NewLeaseWatch(nil, "arpeggio-system", "n1", func(name types.NamespacedName, l *coordinationv1.Lease, there bool) {
		sign := "-"
		if there {
			sign = "+"
			if l.Name != name.Name || l.ManagedFields != nil {
				t.Errorf("%s: %+v", name, l)
			}
		}
		log = append(log, sign+name.Name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, &stream[*coordinationv1.Lease]{watch: w, keys: map[types.NamespacedName]struct{}{}}, func() []string {
		got := log
		log = nil
		return got
	}
}

func objects(names ...string) []any {
	var l []any
	for _, n := range names {
		l = append(l, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "arpeggio-system", Name: n, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		}})
	}
	return l
}

// A list reports also what is no longer there.
func TestReplace(t *testing.T) {
	w, s, log := heard(t)
	if w.Synced() {
		t.Error("synced before the first list")
	}
	for _, tt := range []struct{ list, want []string }{
		{[]string{"node.n1", "svc.a", "svc.b"}, []string{"+svc.a", "+svc.b", "+node.n1"}},
		{[]string{"facts.n2", "node.n1", "svc.b"}, []string{"+facts.n2", "+svc.b", "-svc.a", "+node.n1"}},
		{[]string{"svc.b"}, []string{"+svc.b", "-facts.n2", "-node.n1"}},
		{nil, []string{"-svc.b"}},
		{nil, nil},
	} {
		if err := s.Replace(objects(tt.list...), ""); err != nil {
			t.Fatal(err)
		}
		got := log()
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.list, got, tt.want)
		}
	}
	if !w.Synced() {
		t.Error("not synced after lists")
	}
}

// The own heartbeat comes after all else: who has its echo has seen all Leases.
func TestEchoIsLast(t *testing.T) {
	_, s, log := heard(t)
	_ = s.Replace(objects("svc.a", "svc.z"), "")
	log()
	_ = s.Replace(objects("node.n1", "svc.b", "node.n2"), "")
	if got := log(); got[len(got)-1] != "+node.n1" || len(got) != 5 {
		t.Errorf("got %v", got)
	}
}

func TestStream(t *testing.T) {
	_, s, log := heard(t)
	o := objects("svc.a", "svc.b")
	for _, err := range []error{s.Add(o[0]), s.Update(o[0]), s.Add(o[1]), s.Delete(o[0]), s.Resync()} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := s.Delete(cache.DeletedFinalStateUnknown{Obj: o[1]}); err != nil {
		t.Error(err)
	}
	if got, want := log(), []string{"+svc.a", "+svc.a", "+svc.b", "-svc.a", "-svc.b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, err := range []error{s.Add("x"), s.Delete("x"), s.Replace([]any{"x"}, "")} {
		if err == nil {
			t.Error("another kind was taken")
		}
	}
	_ = s.Replace(nil, "")
	if got := log(); len(got) != 0 {
		t.Errorf("deleted twice: %v", got)
	}
}
