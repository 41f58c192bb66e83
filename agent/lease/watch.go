// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// Watch follows one kind of object and hands every change on, in order; nothing is kept
// but the keys.
type Watch[T client.Object] struct {
	name   string
	list   func() client.ObjectList
	client client.WithWatch
	opts   []client.ListOption
	put    func(types.NamespacedName, T, bool)
	last   func(T) bool // comes after all else of a list; nil: nothing does
	synced atomic.Bool
}

// NewLeaseWatch follows the Leases that concern a node: those of Services, all facts, and
// its own heartbeat. put gets each change; there is false: the Lease was deleted.
func NewLeaseWatch(c client.WithWatch, namespace, node string, put func(name types.NamespacedName, l *coordinationv1.Lease, there bool)) (*Watch[*coordinationv1.Lease], error) {
	want, err := labels.NewRequirement(v1alpha1.LabelWatch, selection.In,
		[]string{v1alpha1.WatchService, v1alpha1.WatchFacts, v1alpha1.WatchNode(node)})
	if err != nil {
		return nil, fmt.Errorf("selecting the Leases of node %q: %w", node, err)
	}
	return &Watch[*coordinationv1.Lease]{
		name:   "leases",
		client: c,
		list:   func() client.ObjectList { return &coordinationv1.LeaseList{} },
		opts: []client.ListOption{
			client.InNamespace(namespace),
			client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*want)},
		},
		put: put,
		// Whoever has the echo of a heartbeat has seen all Leases as they were then.
		last: func(l *coordinationv1.Lease) bool { return l.Name == v1alpha1.NodeLease(node) },
	}, nil
}

// NewAnnouncementWatch follows the VIPAnnouncements of all namespaces.
func NewAnnouncementWatch(c client.WithWatch, put func(name types.NamespacedName, a *v1alpha1.VIPAnnouncement, there bool)) *Watch[*v1alpha1.VIPAnnouncement] {
	return &Watch[*v1alpha1.VIPAnnouncement]{
		name:   "vipannouncements",
		client: c,
		list:   func() client.ObjectList { return &v1alpha1.VIPAnnouncementList{} },
		put:    put,
	}
}

// String names the task.
func (w *Watch[T]) String() string { return "watch of " + w.name }

// Synced tells whether the first list was handed on.
func (w *Watch[T]) Synced() bool { return w.synced.Load() }

// Run lists and watches until the context ends. After an error it begins again, within a
// second: the standing of every voice hangs on this stream.
func (w *Watch[T]) Run(ctx context.Context) error {
	var zero T
	r := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			if o.ResourceVersion == "0" {
				o.ResourceVersion = "" // from a quorum, not from a server's cache
			}
			l := w.list()
			if err := w.client.List(ctx, l, append(w.opts, &client.ListOptions{Raw: &o})...); err != nil {
				return nil, err
			}
			return l, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return w.client.Watch(ctx, w.list(), append(w.opts, &client.ListOptions{Raw: &o})...)
		},
	}, zero, &stream[T]{watch: w, keys: map[types.NamespacedName]struct{}{}}, cache.ReflectorOptions{
		Name: w.name,
		Backoff: &wait.Backoff{
			Duration: 100 * time.Millisecond, Cap: time.Second, Steps: math.MaxInt32, Factor: 2, Jitter: 0.5,
		},
	})
	r.RunWithContext(ctx)
	return nil
}

// stream is the reflector's store: it keeps of each object only what a deletion needs.
// The reflector calls it from one goroutine.
type stream[T client.Object] struct {
	watch *Watch[T]
	keys  map[types.NamespacedName]struct{}
}

func (s *stream[T]) put(o any) error {
	obj, ok := o.(T)
	if !ok {
		return fmt.Errorf("%v: got a %T", s.watch, o)
	}
	obj.SetManagedFields(nil) // half of the object, and of no use here
	key := client.ObjectKeyFromObject(obj)
	s.keys[key] = struct{}{}
	s.watch.put(key, obj, true)
	return nil
}

// Add, Update, Delete and Replace are called by the reflector.
func (s *stream[T]) Add(o any) error { return s.put(o) }

// Update hands a changed object on.
func (s *stream[T]) Update(o any) error { return s.put(o) }

// Delete hands a deletion on.
func (s *stream[T]) Delete(o any) error {
	if t, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = t.Obj
	}
	obj, ok := o.(T)
	if !ok {
		return fmt.Errorf("%v: got a %T", s.watch, o)
	}
	key := client.ObjectKeyFromObject(obj)
	delete(s.keys, key)
	s.watch.put(key, obj, false)
	return nil
}

// Replace hands a whole list on: what is in it, as deleted what is no longer, and then
// what has to come last.
func (s *stream[T]) Replace(list []any, _ string) error {
	var none T
	gone := s.keys
	s.keys = make(map[types.NamespacedName]struct{}, len(list))
	var last []any
	for _, o := range list {
		if obj, ok := o.(T); ok && s.watch.last != nil && s.watch.last(obj) {
			last = append(last, o)
			delete(gone, client.ObjectKeyFromObject(obj))
			continue
		}
		if err := s.put(o); err != nil {
			return err
		}
	}
	for key := range gone {
		if _, ok := s.keys[key]; !ok {
			s.watch.put(key, none, false)
		}
	}
	for _, o := range last {
		if err := s.put(o); err != nil {
			return err
		}
	}
	s.watch.synced.Store(true)
	return nil
}

// Resync has nothing to do: nothing is kept that could be handed on again.
func (s *stream[T]) Resync() error { return nil }
