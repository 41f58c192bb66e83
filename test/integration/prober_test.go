// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// probe has agents probe the addresses of all announcements until the test ends, as those of
// real nodes do: what is announced and in no conflict is found free at once.
func (w *world) probe() {
	c, err := client.NewWithWatch(server.config, client.Options{Scheme: w.client.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			watcher, err := c.Watch(ctx, &v1alpha1.VIPAnnouncementList{})
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			for e := range watcher.ResultChan() {
				if a, ok := e.Object.(*v1alpha1.VIPAnnouncement); ok {
					w.probeOnce(ctx, a)
				}
			}
		}
	}()
	w.t.Cleanup(func() { stop(); <-ended })
}

// probeOnce writes what the agents find of one announcement. One that is changed meanwhile
// comes again.
func (w *world) probeOnce(ctx context.Context, a *v1alpha1.VIPAnnouncement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.probing {
		return
	}
	changed := a.DeepCopy()
	for _, x := range a.Spec.Addresses {
		contested := slices.ContainsFunc(a.Status.Conflicts, func(c v1alpha1.Conflict) bool { return c.Address == x.Address })
		if !contested && !slices.Contains(a.Status.Probed, x.Address) {
			changed.Status.Probed = append(changed.Status.Probed, x.Address)
		}
	}
	if len(changed.Status.Probed) > len(a.Status.Probed) {
		_ = w.client.Status().Patch(ctx, changed, client.MergeFromWithOptions(a, client.MergeFromWithOptimisticLock{}))
	}
}

// probes lets the agents probe, or not: then tests write what they find. Those that were let go
// on with what they left out.
func (w *world) probes(on bool) {
	w.t.Helper()
	w.mu.Lock()
	w.probing = on
	w.mu.Unlock()
	var list v1alpha1.VIPAnnouncementList
	if err := w.client.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		w.probeOnce(w.t.Context(), &list.Items[i])
	}
}

// keeps wants the announcement of a Service to have these addresses, and still after a while.
func (w *world) keeps(name string, ips ...string) {
	w.t.Helper()
	w.announcement(name, announces(ips...))
	time.Sleep(700 * time.Millisecond)
	var a v1alpha1.VIPAnnouncement
	w.get(name, &a)
	if err := announces(ips...)(&a); err != nil {
		w.t.Errorf("Service %s: %v", name, err)
	}
}
