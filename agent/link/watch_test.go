// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// snapshotOf is a picture with these interfaces.
func snapshotOf(names ...string) Snapshot {
	var s Snapshot
	for _, n := range names {
		s.Interfaces = append(s.Interfaces, Interface{Name: n})
	}
	return s
}

// following runs follow in a bubble.
type following struct {
	events chan struct{}
	failed chan error
	done   chan error

	mu       sync.Mutex // guards what follows
	now      Snapshot   // what a reading gives
	err      error
	readings int
	told     []Snapshot
}

func (w *following) read() (Snapshot, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readings++
	return w.now, w.err
}

func (w *following) set(s Snapshot, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.err = s, err
}

func (w *following) tell(s Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, s)
}

// want checks what happened so far, once everything is at rest.
func (w *following) want(t *testing.T, readings, told int) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readings != readings || len(w.told) != told {
		t.Errorf("%d readings, told %d times; want %d and %d", w.readings, len(w.told), readings, told)
	}
}

func followed(t *testing.T, f func(*testing.T, *following)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &following{
			now: snapshotOf("eth0"), events: make(chan struct{}, 1),
			failed: make(chan error, 1), done: make(chan error, 1),
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			w.done <- follow(ctx, w.read, w.events, w.failed, w.tell)
		}()
		synctest.Wait()
		f(t, w)
	})
}

func (w *following) event() {
	select {
	case w.events <- struct{}{}:
	default:
	}
}

func TestFirstPictureIsToldAtOnce(t *testing.T) {
	followed(t, func(t *testing.T, w *following) {
		w.want(t, 1, 1)
	})
}

func TestManyEventsAreOneReading(t *testing.T) {
	followed(t, func(t *testing.T, w *following) {
		w.set(snapshotOf("eth0", "eth1"), nil)
		for range 10 {
			w.event()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		w.want(t, 2, 2)
	})
}

func TestNothingIsToldWhenNothingChanged(t *testing.T) {
	followed(t, func(t *testing.T, w *following) {
		w.event()
		time.Sleep(time.Second)
		w.want(t, 2, 1)
	})
}

func TestNothingIsPolled(t *testing.T) {
	followed(t, func(t *testing.T, w *following) {
		time.Sleep(24 * time.Hour)
		w.want(t, 1, 1)
	})
}

func TestReadingIsTriedAgainAndGivenUpAtLast(t *testing.T) {
	followed(t, func(t *testing.T, w *following) {
		failure := errors.New("no buffer space")
		w.set(Snapshot{}, failure)
		w.event()
		time.Sleep(readPause + settle + 1)
		w.want(t, 3, 1)
		w.set(snapshotOf("eth1"), nil)
		time.Sleep(time.Second)
		w.want(t, 4, 2)
		w.set(Snapshot{}, failure)
		w.event()
		if err := <-w.done; !errors.Is(err, failure) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestDeadSubscriptionIsAnError(t *testing.T) {
	followed(t, func(t *testing.T, w *following) {
		w.failed <- unix.EBADF
		if err := <-w.done; !errors.Is(err, unix.EBADF) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestOnlyDefaultRoutesConcernUs(t *testing.T) {
	route := func(typ uint16, bits byte) []syscall.NetlinkMessage {
		return []syscall.NetlinkMessage{{Header: syscall.NlMsghdr{Type: typ}, Data: []byte{unix.AF_INET, bits, 0, 0}}}
	}
	for name, tc := range map[string]struct {
		msgs []syscall.NetlinkMessage
		want bool
	}{
		"default route":      {route(unix.RTM_NEWROUTE, 0), true},
		"default route gone": {route(unix.RTM_DELROUTE, 0), true},
		"pod's route":        {route(unix.RTM_NEWROUTE, 32), false},
		"link":               {route(unix.RTM_NEWLINK, 32), true},
		"among others":       {append(route(unix.RTM_NEWROUTE, 24), route(unix.RTM_NEWADDR, 9)...), true},
		"cut":                {[]syscall.NetlinkMessage{{Header: syscall.NlMsghdr{Type: unix.RTM_NEWROUTE}}}, false},
		"nothing":            {nil, false},
	} {
		if got := concerns(tc.msgs); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whatever this machine is, its kernel can be read without a capability.
func TestReadThisMachine(t *testing.T) {
	s, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range s.Interfaces {
		if i.Name == "" || i.Index == 0 || !i.MAC.IsCard() || i.MTU == 0 {
			t.Errorf("interface %+v", i)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := Watch(ctx, func(Snapshot) { cancel() }); err != nil {
		t.Error(err)
	}
}
