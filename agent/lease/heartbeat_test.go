// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const namespace = "arpeggio-system"

// api is an API server that keeps Leases and counts requests.
type api struct {
	client.WithWatch

	mu       sync.Mutex // guards what follows
	requests []string
	fail     error // of every request
}

func newAPI(t *testing.T, objects ...client.Object) *api {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := coordinationv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	a := &api{}
	a.WithWatch = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := a.request("get"); err != nil {
				return err
			}
			return c.Get(ctx, key, o, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := a.request("create"); err != nil {
				return err
			}
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if err := a.request("update"); err != nil {
				return err
			}
			return c.Update(ctx, o, opts...)
		},
	}).Build()
	return a
}

func (a *api) request(verb string) error {
	time.Sleep(time.Millisecond)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, verb)
	return a.fail
}

// failing sets what every request gets, and forgets the requests so far.
func (a *api) failing(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail, a.requests = err, nil
}

func (a *api) count(verb string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, r := range a.requests {
		if r == verb {
			n++
		}
	}
	return n
}

// lease reads a Lease; nil: none.
func (a *api) lease(t *testing.T, name string) *coordinationv1.Lease {
	t.Helper()
	synctest.Wait()
	var l coordinationv1.Lease
	err := a.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &l)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &l
}

// beating is a heartbeat that runs.
type beating struct {
	*lease.Heartbeat

	stop func()
	err  chan error

	mu    sync.Mutex // guards stamp
	stamp metav1.MicroTime
}

func beats(t *testing.T, a *api, incarnation string) *beating {
	t.Helper()
	begun := time.Now()
	b := &beating{err: make(chan error, 1)}
	b.Heartbeat = lease.NewHeartbeat(lease.BeatConfig{
		Client: a, Namespace: namespace, Node: "n1", Incarnation: incarnation,
		Every: 2 * time.Second, Lasts: 6 * time.Second, Log: logr.Discard(),
		Now: func() election.Time { return time.Since(begun) },
		Sent: func(stamp metav1.MicroTime, _ election.Time) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.stamp = stamp
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	go func() { b.err <- b.Run(ctx) }()
	t.Cleanup(cancel)
	return b
}

// ended gives the error with which it ended, if it has.
func (b *beating) ended() (ended bool, err error) {
	synctest.Wait()
	select {
	case err := <-b.err:
		return true, err
	default:
		return false, nil
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		b := beats(t, a, "first")
		time.Sleep(time.Minute + time.Second)
		l := a.lease(t, "node.n1")
		if l == nil || l.Annotations[v1alpha1.AnnotationIncarnation] != "first" || l.Labels[v1alpha1.LabelWatch] != "node.n1" ||
			*l.Spec.HolderIdentity != "n1" || *l.Spec.LeaseDurationSeconds != 6 {
			t.Fatalf("%+v", l)
		}
		if !l.Spec.RenewTime.Equal(&b.stamp) {
			t.Errorf("renewTime %s, told %s", l.Spec.RenewTime, b.stamp)
		}
		if gets, writes := a.count("get"), a.count("create")+a.count("update"); gets > 2 || writes != 31 {
			t.Errorf("%d reads and %d writes in a minute", gets, writes)
		}
	})
}

// The newer agent of a node wins; the older one stops.
func TestHeartbeatSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		first := beats(t, a, "first")
		time.Sleep(5 * time.Second)
		second := beats(t, a, "second")
		time.Sleep(5 * time.Second)
		if ended, err := first.ended(); !ended || !errors.Is(err, lease.ErrSuperseded) {
			t.Errorf("the older agent: %v", err)
		}
		if ended, err := second.ended(); ended {
			t.Errorf("the newer agent stopped: %v", err)
		}
		if got := a.lease(t, "node.n1").Annotations[v1alpha1.AnnotationIncarnation]; got != "second" {
			t.Errorf("incarnation %q", got)
		}
	})
}

// A Lease that was deleted or written by others is written again, at once.
func TestHeartbeatDisturbed(t *testing.T) {
	for name, disturb := range map[string]func(t *testing.T, a *api){
		"deleted": func(t *testing.T, a *api) {
			t.Helper()
			if err := a.Delete(t.Context(), a.lease(t, "node.n1")); err != nil {
				t.Fatal(err)
			}
		},
		"changed": func(t *testing.T, a *api) {
			t.Helper()
			l := a.lease(t, "node.n1")
			l.Spec.RenewTime = nil
			if err := a.Update(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t)
				b := beats(t, a, "first")
				time.Sleep(5 * time.Second)
				disturb(t, a)
				time.Sleep(2 * time.Second)
				l := a.lease(t, "node.n1")
				if l == nil || !l.Spec.RenewTime.Equal(&b.stamp) || l.Annotations[v1alpha1.AnnotationIncarnation] != "first" {
					t.Errorf("%+v", l)
				}
				if ended, err := b.ended(); ended {
					t.Errorf("ended: %v", err)
				}
			})
		})
	}
}

// While nothing can be written it is tried at the usual pace, whatever the error.
func TestHeartbeatDoesNotSpin(t *testing.T) {
	conflict := func(t *testing.T) error {
		t.Helper()
		a := newAPI(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x"}})
		l := a.lease(t, "x")
		l.ResourceVersion = "1"
		return a.Update(t.Context(), l)
	}
	for name, fail := range map[string]func(*testing.T) error{
		"away":     func(*testing.T) error { return errors.New("away") },
		"conflict": conflict,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t)
				b := beats(t, a, "first")
				time.Sleep(5 * time.Second)
				a.failing(fail(t))
				time.Sleep(20 * time.Second)
				if n := a.count("get") + a.count("update"); n > 22 {
					t.Errorf("%d requests in 20 s", n)
				}
				a.failing(nil)
				time.Sleep(2 * time.Second)
				if l := a.lease(t, "node.n1"); !l.Spec.RenewTime.Equal(&b.stamp) {
					t.Error("not written again")
				}
			})
		})
	}
}

// Leave returns once "leaving" is written, and not before; a new agent takes it back.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		b := beats(t, a, "first")
		time.Sleep(500 * time.Millisecond)
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l := a.lease(t, "node.n1"); l.Annotations[v1alpha1.AnnotationLeaving] != "true" {
			t.Errorf("%+v", l)
		}
		if err := b.Leave(t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
		b.stop()
		beats(t, a, "second")
		time.Sleep(3 * time.Second)
		if l := a.lease(t, "node.n1"); l.Annotations[v1alpha1.AnnotationLeaving] != "" {
			t.Errorf("%+v", l)
		}
	})
}

func TestLeaveCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		b := beats(t, a, "first")
		time.Sleep(500 * time.Millisecond)
		a.failing(errors.New("away"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWriteFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t)
		s := lease.Store{Client: a, Namespace: namespace}
		for i, name := range []string{"eth0", "eth0", "eth1"} {
			facts := v1alpha1.Facts{Version: "v1", Interfaces: []v1alpha1.InterfaceFacts{{Name: name, MAC: fmt.Sprint(i / 2)}}}
			if err := s.WriteFacts(t.Context(), "n1", facts); err != nil {
				t.Fatal(err)
			}
			l := a.lease(t, "facts.n1")
			got, err := v1alpha1.ParseFacts(l.Annotations[v1alpha1.AnnotationFacts])
			if err != nil || got.Interfaces[0].Name != name || l.Labels[v1alpha1.LabelWatch] != v1alpha1.WatchFacts {
				t.Errorf("%+v, %v", l, err)
			}
		}
		if writes := slices.DeleteFunc(a.requests, func(v string) bool { return v == "get" }); !slices.Equal(writes, []string{"create", "update"}) {
			t.Errorf("writes %q", writes)
		}
	})
}
