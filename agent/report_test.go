// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// api is an API server with announcements and Events, which can be away.
type api struct {
	client.WithWatch

	mu     sync.Mutex // guards what follows
	fail   func(verb string, o client.Object) error
	writes int
}

func newAPI(t *testing.T, objects ...client.Object) *api {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	a := &api{}
	a.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.VIPAnnouncement{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if err := a.write("create", o); err != nil {
					return err
				}
				return c.Create(ctx, o, opts...)
			},
			SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
				if err := a.write("update", o); err != nil {
					return err
				}
				return c.SubResource(sub).Update(ctx, o, opts...)
			},
		}).Build()
	return a
}

func (a *api) write(verb string, o client.Object) error {
	time.Sleep(latency)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writes++
	if a.fail != nil {
		return a.fail(verb, o)
	}
	return nil
}

// failing sets what happens to writes; nil: they succeed.
func (a *api) failing(f func(verb string, o client.Object) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = f
}

func (a *api) written() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writes
}

func (a *api) node(t *testing.T, key types.NamespacedName) string {
	t.Helper()
	synctest.Wait()
	var got v1alpha1.VIPAnnouncement
	if err := a.Get(t.Context(), key, &got); err != nil {
		t.Fatal(err)
	}
	return got.Status.Node
}

func vipa(i int) *v1alpha1.VIPAnnouncement {
	return &v1alpha1.VIPAnnouncement{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("web%d", i), UID: "one"}}
}

// start runs a task until stop is called or the test ends.
func start(t *testing.T, run task) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run.Run(ctx); err != nil {
			t.Errorf("%s: %v", run, err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

func reportOf(uid types.UID) report {
	s := speaking(7, 7)
	s.uid = uid
	return s.report("n1")
}

func TestReporterWritesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, vipa(0))
		r := newReporter(a, logr.Discard())
		start(t, r)
		key := client.ObjectKeyFromObject(vipa(0))
		for range 3 {
			r.put(key, reportOf("one"))
			time.Sleep(time.Second)
		}
		if got := a.node(t, key); got != "n1" || a.written() != 1 {
			t.Errorf("node %q after %d writes, want one", got, a.written())
		}
	})
}

// What was said of an announcement does not hold for another of its name, and one that is
// gone is forgotten.
func TestReporterOfAnnouncementsThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, vipa(0))
		r := newReporter(a, logr.Discard())
		start(t, r)
		r.put(client.ObjectKeyFromObject(vipa(0)), reportOf("an older one"))
		r.put(client.ObjectKeyFromObject(vipa(1)), reportOf("one"))
		time.Sleep(5 * time.Second)
		if got := a.node(t, client.ObjectKeyFromObject(vipa(0))); got != "" || a.written() != 0 || len(r.pending) != 0 {
			t.Errorf("node %q, %d writes, %d pending", got, a.written(), len(r.pending))
		}
	})
}

// Some statuses that cannot be written hold up none of the others, and are written as soon
// as they can be: the youngest of each.
func TestReporterIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		var objects []client.Object
		for i := range n {
			objects = append(objects, vipa(i))
		}
		a := newAPI(t, objects...)
		bad := func(_ string, o client.Object) error {
			if o.GetName() < "web5" {
				return errors.New("refused")
			}
			return nil
		}
		a.failing(bad)
		r := newReporter(a, logr.Discard())
		start(t, r)
		for i := range n {
			r.put(client.ObjectKeyFromObject(vipa(i)), reportOf("one"))
		}
		time.Sleep(2 * time.Second)
		for i := range n {
			key := client.ObjectKeyFromObject(vipa(i))
			if got := a.node(t, key); (got == "n1") != (key.Name >= "web5") {
				t.Fatalf("%s: node %q", key, got)
			}
		}
		tries := a.written()
		time.Sleep(10 * time.Second)
		if again := a.written() - tries; again > 20*n {
			t.Errorf("%d tries in 10 s", again)
		}
		hush := speaking(7, 7)
		hush.uid = "one"
		r.put(client.ObjectKeyFromObject(vipa(0)), hush.hushReport(v1alpha1.ReasonWithdrawn, "n1", "a reason"))
		a.failing(nil)
		time.Sleep(2 * time.Second)
		if got := a.node(t, client.ObjectKeyFromObject(vipa(0))); got != "" {
			t.Errorf("the older report was written: node %q", got)
		}
		if got := a.node(t, client.ObjectKeyFromObject(vipa(1))); got != "n1" {
			t.Errorf("node %q", got)
		}
	})
}

// What is not written when the agent stops is written then.
func TestReporterFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, vipa(0))
		a.failing(func(string, client.Object) error { return errors.New("away") })
		r := newReporter(a, logr.Discard())
		stop := start(t, r)
		key := client.ObjectKeyFromObject(vipa(0))
		r.put(key, reportOf("one"))
		time.Sleep(time.Second)
		a.failing(nil)
		stop()
		if got := a.node(t, key); got != "n1" {
			t.Errorf("node %q", got)
		}
	})
}

// A second writer between read and write is read, not overwritten.
func TestReporterConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, vipa(0))
		key := client.ObjectKeyFromObject(vipa(0))
		once := false
		a.failing(func(string, client.Object) error {
			if !once {
				once = true
				var now v1alpha1.VIPAnnouncement
				if err := a.Get(context.Background(), key, &now); err != nil {
					return err
				}
				now.Labels = map[string]string{"other": "writer"}
				return a.Update(context.Background(), &now)
			}
			return nil
		})
		r := newReporter(a, logr.Discard())
		start(t, r)
		r.put(key, reportOf("one"))
		time.Sleep(100 * time.Millisecond)
		if got := a.node(t, key); got != "n1" || a.written() != 2 {
			t.Errorf("node %q after %d writes", got, a.written())
		}
	})
}

func TestJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		j := newJournal(a, "n1", logr.Discard())
		stop := start(t, j)
		service := corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: "default", Name: "web", UID: "uid"}
		say := func(note string) {
			j.record(event{service: service, kind: corev1.EventTypeNormal, reason: "VIPAnnounced", action: "Announce", note: note})
		}
		notes := func() map[string]bool {
			synctest.Wait()
			var l eventsv1.EventList
			if err := a.List(t.Context(), &l); err != nil {
				t.Fatal(err)
			}
			notes := map[string]bool{}
			for _, e := range l.Items {
				notes[e.Note] = true
				if e.Regarding != service || e.ReportingController == "" || e.ReportingInstance != "n1" || e.EventTime.IsZero() {
					t.Errorf("%+v", e)
				}
			}
			return notes
		}
		say("first")
		say("second, of the same reason")
		time.Sleep(time.Second)
		if got := notes(); len(got) != 2 {
			t.Errorf("Events %v", got)
		}
		a.failing(func(string, client.Object) error { return errors.New("away") })
		say("while away")
		say("behind it")
		time.Sleep(400 * time.Millisecond)
		a.failing(nil)
		say("at the end")
		stop()
		if got := notes(); len(got) != 5 {
			t.Errorf("Events %v", got)
		}
		for range backlog + 10 {
			say("nobody writes any more") // and nobody waits
		}
	})
}
