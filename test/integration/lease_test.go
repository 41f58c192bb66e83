// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// clients are an agent's, as they ship.
func clients(t *testing.T) lease.Clients {
	t.Helper()
	c, err := lease.NewClients(server.config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serviceLease makes the Lease of a Service.
func serviceLease(w *world, name string) *coordinationv1.Lease {
	w.t.Helper()
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: system, Name: name,
		Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchService},
		Annotations: map[string]string{v1alpha1.AnnotationServiceUID: "uid"},
	}}
	w.create(l)
	return l
}

// A compare-and-swap is refused where anybody wrote since, and where the Lease is another
// one of the same name; it never creates one, and keeps what others wrote before.
func TestLeaseSwap(t *testing.T) {
	w := newWorld(t)
	s := lease.Store{Client: clients(t).Write, Namespace: system}
	seen := serviceLease(w, "svc.default.swap")

	got, err := s.Swap(t.Context(), seen, "n1", 1)
	if err != nil {
		t.Fatal(err)
	}
	e := lease.FromObject(got)
	if e.Holder != "n1" || e.Transitions != 1 || e.UID != string(seen.UID) || e.ServiceUID != "uid" || e.ResourceVersion == seen.ResourceVersion {
		t.Errorf("%+v", e)
	}
	if read, err := s.Read(t.Context(), seen.Name); err != nil || lease.FromObject(read) != e || len(read.Labels) != len(seen.Labels) {
		t.Errorf("read %+v, %v", read, err)
	}
	if _, err := s.Swap(t.Context(), seen, "n2", 1); !apierrors.IsConflict(err) {
		t.Errorf("a stale resourceVersion: %v, want a conflict", err)
	}

	if err := w.client.Delete(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Swap(t.Context(), got, "n2", 2); !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		t.Errorf("a deleted Lease: %v", err)
	}
	if l, err := s.Read(t.Context(), seen.Name); err != nil || l != nil {
		t.Errorf("a deleted Lease was written: %+v, %v", l, err)
	}
	again := serviceLease(w, seen.Name)
	got.ResourceVersion = again.ResourceVersion
	if _, err := s.Swap(t.Context(), got, "n2", 2); !apierrors.IsConflict(err) {
		t.Errorf("another UID: %v, want a conflict", err)
	}
	if l, err := s.Read(t.Context(), seen.Name); err != nil || l.UID != again.UID || l.Spec.HolderIdentity != nil {
		t.Errorf("%+v, %v", l, err)
	}
}

// change is what a watch handed on.
type change struct {
	name    string
	there   bool
	version int // the annotation of that name
	stamp   *metav1.MicroTime
}

// follow runs a node's Lease watch.
func follow(t *testing.T, c lease.Clients, node string) <-chan change {
	t.Helper()
	changes := make(chan change, 10000)
	watch, err := lease.NewLeaseWatch(c.Watch, system, node, func(name types.NamespacedName, l *coordinationv1.Lease, there bool) {
		ch := change{name: name.Name, there: there}
		if there {
			ch.stamp = l.Spec.RenewTime
			ch.version, _ = strconv.Atoi(l.Annotations["version"])
		}
		changes <- ch
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = watch.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	deadline := time.After(patience)
	for !watch.Synced() {
		select {
		case <-deadline:
			t.Fatal("the watch does not list")
		case <-time.After(time.Millisecond):
		}
	}
	return changes
}

// A heartbeat comes back after every change of a Lease that was made before it: whoever
// has the echo has seen the change.
func TestEchoFollowsChanges(t *testing.T) {
	w := newWorld(t)
	c := clients(t)
	changes := follow(t, c, "n1")
	l := serviceLease(w, "svc.default.echo")

	written := make(chan int, 1) // the last version that the server has taken
	written <- 0
	sent := map[int64]int{} // by a heartbeat's stamp, what had been written before
	beats := make(chan metav1.MicroTime, 1000)
	ctx, stop := context.WithCancel(t.Context())
	beat := lease.NewHeartbeat(lease.BeatConfig{
		Client: c.Beat, Namespace: system, Node: "n1", Incarnation: "one", Every: 5 * time.Millisecond, Lasts: time.Second,
		Now: wire.Boottime, Log: logr.Discard(),
		Sent: func(stamp metav1.MicroTime, _ election.Time) {
			v := <-written
			sent[stamp.UnixMicro()] = v
			written <- v
			beats <- stamp
		},
	})
	ended := make(chan error, 1)
	go func() { ended <- beat.Run(ctx) }()
	for v := 1; v <= 100; v++ {
		l.Annotations["version"] = strconv.Itoa(v)
		if err := w.client.Update(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		<-written
		written <- v
	}
	w.eventually(func(context.Context) error { // a beat that was sent after the last write
		if len(beats) < 10 {
			return errors.New("too few beats")
		}
		return nil
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	last, echoes, at := (<-chan metav1.MicroTime)(beats), 0, 0
	deadline := time.After(patience)
	for remaining := len(last); echoes < remaining-1; { // the last beat may have been cut off
		select {
		case ch := <-changes:
			switch ch.name {
			case l.Name:
				at = ch.version
			case v1alpha1.NodeLease("n1"):
				if before, ok := sent[ch.stamp.UnixMicro()]; ok {
					echoes++
					if at < before {
						t.Fatalf("the echo of a beat sent after version %d came at version %d", before, at)
					}
				}
			}
		case <-deadline:
			t.Fatalf("%d of %d echoes came", echoes, remaining)
		}
	}
}

// A watch brings the Leases of Services, all facts, the own heartbeat, and nobody else's;
// deletions too.
func TestLeaseWatchBringsWhatConcernsANode(t *testing.T) {
	w := newWorld(t)
	c := clients(t)
	s := lease.Store{Client: c.Write, Namespace: system}
	l := serviceLease(w, "svc.default.before")
	changes := follow(t, c, "n1")
	for _, node := range []string{"n1", "n2"} {
		if err := s.WriteFacts(t.Context(), node, v1alpha1.Facts{Version: "v1"}); err != nil {
			t.Fatal(err)
		}
		beat := lease.NewHeartbeat(lease.BeatConfig{
			Client: c.Beat, Namespace: system, Node: node, Incarnation: "one", Every: time.Hour, Lasts: time.Second,
			Now: wire.Boottime, Log: logr.Discard(), Sent: func(metav1.MicroTime, election.Time) {},
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- beat.Run(ctx) }()
		if err := beat.Leave(t.Context()); err != nil { // a beat is written
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if err := w.client.Delete(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	var got []string
	deadline := time.After(patience)
	for !slices.Contains(got, "-svc.default.before") {
		select {
		case ch := <-changes:
			sign := "-"
			if ch.there {
				sign = "+"
			}
			if !slices.Contains(got, sign+ch.name) {
				got = append(got, sign+ch.name)
			}
		case <-deadline:
			t.Fatalf("the deletion does not come, only %v", got)
		}
	}
	slices.Sort(got)
	if want := []string{"+facts.n1", "+facts.n2", "+node.n1", "+svc.default.before", "-svc.default.before"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Two agents of one node: the newer one goes on, and a Lease deleted under it comes back.
func TestHeartbeatOnTheServer(t *testing.T) {
	w := newWorld(t)
	c := clients(t)
	run := func(incarnation string) <-chan error {
		beat := lease.NewHeartbeat(lease.BeatConfig{
			Client: c.Beat, Namespace: system, Node: "n1", Incarnation: incarnation, Every: 20 * time.Millisecond, Lasts: time.Second,
			Now: wire.Boottime, Log: logr.Discard(), Sent: func(metav1.MicroTime, election.Time) {},
		})
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(context.Background())
		t.Cleanup(stop)
		go func() { ended <- beat.Run(ctx) }()
		return ended
	}
	is := func(incarnation string) {
		t.Helper()
		w.eventually(func(ctx context.Context) error {
			var l coordinationv1.Lease
			if err := w.client.Get(ctx, client.ObjectKey{Namespace: system, Name: "node.n1"}, &l); err != nil {
				return err
			}
			if got := l.Annotations[v1alpha1.AnnotationIncarnation]; got != incarnation {
				return errors.New("it is that of " + got)
			}
			return nil
		})
	}
	first := run("first")
	is("first")
	second := run("second")
	is("second")
	if err := <-first; !errors.Is(err, lease.ErrSuperseded) {
		t.Errorf("the older agent ended with %v", err)
	}
	if err := w.client.Delete(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "node.n1"}}); err != nil {
		t.Fatal(err)
	}
	is("second")
	select {
	case err := <-second:
		t.Errorf("the newer agent ended with %v", err)
	default:
	}
}
