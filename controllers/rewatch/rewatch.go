// SPDX-License-Identifier: Apache-2.0

// Package rewatch has watches begin again soon after the API server was away.
//
// A client-go reflector that fails waits twice as long each time, up to a minute: after an outage
// new Services would go without an address for so long. Here it does not fail while the API server
// cannot be reached: the attempt goes on, about once a second.
package rewatch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// pause is how long it takes to the next attempt, half as much again at most.
const pause = time.Second

// NewInformer is cache.NewSharedIndexInformer with such watches.
func NewInformer(lw cache.ListerWatcher, example runtime.Object, resync time.Duration, by cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(patient{cache.ToListerWatcherWithContext(lw)}, example, resync, by)
}

// patient lists and watches once the API server can be reached.
type patient struct {
	cache.ListerWatcherWithContext
}

// List is ListWithContext without an end.
func (p patient) List(o metav1.ListOptions) (runtime.Object, error) {
	return p.ListWithContext(context.Background(), o)
}

// Watch is WatchWithContext without an end.
func (p patient) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return p.WatchWithContext(context.Background(), o)
}

// ListWithContext lists, until the API server says something or the context ends.
func (p patient) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return again(ctx, func() (runtime.Object, error) { return p.ListerWatcherWithContext.ListWithContext(ctx, o) })
}

// WatchWithContext watches, as soon as the API server says something.
func (p patient) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return again(ctx, func() (watch.Interface, error) { return p.ListerWatcherWithContext.WatchWithContext(ctx, o) })
}

// again calls until the API server was reached.
func again[T any](ctx context.Context, call func() (T, error)) (T, error) {
	for {
		result, err := call()
		if err == nil || answered(err) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(wait.Jitter(pause, 0.5)):
		}
	}
}

// answered tells an error that the API server sent from one on the way to it.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}
