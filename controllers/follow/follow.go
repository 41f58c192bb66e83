// SPDX-License-Identifier: Apache-2.0

// Package follow lets a view of the cluster follow the manager's cache, and controllers
// follow the view.
//
// It promises that a controller is told of a change after the view knows it, and that its
// workers start when the view knows all that was there at the start. A controller that
// watched the objects themselves could decide by a view that is a moment behind, and would
// not be called again.
package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Feed tells controllers of the changes of a view. Its zero value is ready for use; it is
// safe for concurrent use.
type Feed[Change any] struct {
	mu        sync.Mutex // guards all below
	synced    []toolscache.InformerSynced
	listeners []func(Change)
}

// Objects makes the view follow the objects of one kind: put is called for each that is
// there and each time it changes, drop when it is gone. It is called before the cache is
// started.
func Objects[T client.Object, Change any](ctx context.Context, f *Feed[Change], informers cache.Informers, kind T, put, drop func(T)) error {
	informer, err := informers.GetInformer(ctx, kind)
	if err != nil {
		return fmt.Errorf("following %T: %w", kind, err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { put(obj.(T)) },
		UpdateFunc: func(_, obj any) { put(obj.(T)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(T); ok {
				drop(o)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("following %T: %w", kind, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = append(f.synced, registration.HasSynced)
	return nil
}

// Tell tells all controllers of a change. The caller holds no lock of the view: they ask
// back.
func (f *Feed[Change]) Tell(c Change) {
	f.mu.Lock()
	listeners := f.listeners
	f.mu.Unlock()
	for _, tell := range listeners {
		tell(c)
	}
}

// Listen makes the feed call a function with each change from now on.
func (f *Feed[Change]) Listen(tell func(Change)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners = append(f.listeners, tell)
}

// Source gives a controller requests for the changes of the view, delayed so that many
// changes make one request.
func (f *Feed[Change]) Source(delay time.Duration, requests func(Change) []reconcile.Request) source.Source {
	return &changes[Change]{feed: f, requests: requests, delay: delay}
}

// changes is the source of one controller.
type changes[Change any] struct {
	feed     *Feed[Change]
	requests func(Change) []reconcile.Request
	delay    time.Duration
}

// Start subscribes the controller's queue.
func (c *changes[Change]) Start(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	c.feed.Listen(func(change Change) {
		for _, r := range c.requests(change) {
			q.AddAfter(r, c.delay)
		}
	})
	return nil
}

// WaitForSync waits until the view is complete.
func (c *changes[Change]) WaitForSync(ctx context.Context) error {
	c.feed.mu.Lock()
	synced := c.feed.synced
	c.feed.mu.Unlock()
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return errors.New("the manager's view of the cluster did not become complete")
	}
	return nil
}
