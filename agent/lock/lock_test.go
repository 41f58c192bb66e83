// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// bootClock is the machine's, the same for the test and the processes it starts.
func bootClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// name is one that no other test has.
func name(t *testing.T) string {
	t.Helper()
	return Name(fmt.Sprintf("%d-%s", os.Getpid(), strconv.FormatUint(uint64(bootClock()), 36)))
}

// agent is a Lock in this process with what became of it.
type agent struct {
	*Lock
	stop     context.CancelFunc
	acquired chan *Inheritance
	at       time.Duration // when, by the boot clock
	ended    chan error    // of Run
}

// start starts one that acquires and then runs.
func start(t *testing.T, name, incarnation string, ready bool) *agent {
	t.Helper()
	l, err := New(Config{Name: name, Incarnation: incarnation, Clock: bootClock, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	a := &agent{Lock: l, stop: stop, acquired: make(chan *Inheritance, 1), ended: make(chan error, 1)}
	if ready {
		l.Ready()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		i, err := l.Acquire(ctx)
		if err != nil {
			a.ended <- err
			return
		}
		a.at = bootClock()
		a.acquired <- i
		a.ended <- l.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-done })
	return a
}

// holds waits until it holds the lock, and gives what it inherited.
func (a *agent) holds(t *testing.T) *Inheritance {
	t.Helper()
	select {
	case i := <-a.acquired:
		return i
	case <-time.After(5 * time.Second):
		t.Fatal("it does not get the lock")
		return nil
	}
}

// waits fails the test if it gets the lock.
func (a *agent) waits(t *testing.T) {
	t.Helper()
	select {
	case <-a.acquired:
		t.Fatal("it got the lock")
	case <-time.After(150 * time.Millisecond):
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so: ", what)
		}
	}
}

// waiting gives how many successors the holder has, ready or not.
func (a *agent) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.heirs)
}

// will is an inheritance of so many voices.
func voices(n int) Inheritance {
	i := Inheritance{BeatSent: bootClock() - time.Second}
	for v := range n {
		i.Voices = append(i.Voices, Voice{
			Lease: fmt.Sprintf("svc.some-namespace.service-%d", v), UID: fmt.Sprintf("3f8a6d54-1b53-4a7c-9d0c-%012d", v),
			Transitions: int32(v), Standing: uint8(v % 2),
		})
	}
	return i
}

func TestBequeath(t *testing.T) {
	for _, n := range []int{0, 1, 100, 5000} {
		t.Run(fmt.Sprintf("%d voices", n), func(t *testing.T) {
			name := name(t)
			old := start(t, name, "old", true)
			if i := old.holds(t); i != nil {
				t.Errorf("inherited %+v of nobody", i)
			}
			heir := start(t, name, "new", true)
			eventually(t, "the holder knows its successor", old.Successor)
			heir.waits(t)

			// Nobody else gets the lock in between.
			ctx, stop := context.WithCancel(t.Context())
			stolen := make(chan bool, 1)
			go func() {
				for ctx.Err() == nil {
					if l, err := listen(ctx, name); err == nil {
						stolen <- true
						_ = l.Close()
						return
					}
				}
				stolen <- false
			}()
			want := voices(n)
			begun := bootClock()
			if err := old.Bequeath(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			gave := bootClock()
			got := heir.holds(t)
			stop()
			if <-stolen {
				t.Error("the lock was free for a moment")
			}
			if err := <-old.ended; err != nil || old.Successor() {
				t.Errorf("the giver: %v", err)
			}
			if got.From != "old" || got.Given < begun || got.Given > gave {
				t.Errorf("from %q at %s, given between %s and %s", got.From, got.Given, begun, gave)
			}
			want.From, want.Given = got.From, got.Given
			if d := cmp.Diff(want, *got); d != "" {
				t.Error(d)
			}
			t.Logf("%d voices given in %s", n, heir.at-begun)
		})
	}
}

func TestWithoutReadySuccessor(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	if err := old.Bequeath(t.Context(), voices(1)); !errors.Is(err, ErrNoSuccessor) {
		t.Errorf("without a successor: %v", err)
	}
	heir := start(t, name, "new", false)
	eventually(t, "the successor waits", func() bool { return old.waiting() == 1 })
	if err := old.Bequeath(t.Context(), voices(1)); !errors.Is(err, ErrNoSuccessor) || old.Successor() {
		t.Errorf("with one that is not ready: %v", err)
	}
	heir.Ready()
	eventually(t, "it is ready", old.Successor)
	old.stop() // without a word
	if i := heir.holds(t); i != nil {
		t.Errorf("inherited %+v", i)
	}
}

// The ready successor that came last inherits; the others wait for it in turn.
func TestQueue(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	var heirs []*agent
	for n, ready := range []bool{true, true, false} {
		heirs = append(heirs, start(t, name, strconv.Itoa(n), ready))
		eventually(t, "they came in order", func() bool { return old.waiting() == n+1 })
	}
	first, second, third := heirs[0], heirs[1], heirs[2]
	eventually(t, "the second is ready", func() bool {
		old.mu.Lock()
		defer old.mu.Unlock()
		h := old.last()
		return h != nil && h.incarnation == "1"
	})
	if err := old.Bequeath(t.Context(), voices(3)); err != nil {
		t.Fatal(err)
	}
	if got := second.holds(t); len(got.Voices) != 3 {
		t.Errorf("inherited %+v", got)
	}
	first.waits(t)
	third.waits(t)
	eventually(t, "both wait for the new holder", func() bool { return second.waiting() == 2 && second.Successor() })
	if err := second.Bequeath(t.Context(), voices(2)); err != nil {
		t.Fatal(err)
	}
	if got := first.holds(t); len(got.Voices) != 2 || got.From != "1" {
		t.Errorf("inherited %+v", got)
	}
}

// The holder is told when a successor becomes ready, and when none is any more.
func TestSuccessorIsTold(t *testing.T) {
	told := make(chan bool, 8)
	c := Config{Name: name(t), Incarnation: "old", Clock: bootClock, Log: logr.Discard(), Successor: func(is bool) { told <- is }}
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	one, two := start(t, c.Name, "1", true), start(t, c.Name, "2", true)
	if !<-told {
		t.Error("told of none first")
	}
	eventually(t, "both are there", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.heirs) == 2 && l.heirs[0].ready && l.heirs[1].ready
	})
	one.stop()
	two.stop()
	if <-told {
		t.Error("told twice of one")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAcquireEnds(t *testing.T) {
	name := name(t)
	start(t, name, "old", true).holds(t)
	heir := start(t, name, "new", true)
	heir.waits(t)
	heir.stop()
	if err := <-heir.ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "@", "/run/voice", "@" + string(make([]byte, nameLimit))} {
		if _, err := New(Config{Name: name}); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
	// The longest name of a namespace fits.
	long := Name(fmt.Sprintf("%063d", 1))
	if _, err := New(Config{Name: long}); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("unix", long)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestRunWithoutLock(t *testing.T) {
	l, err := New(Config{Name: name(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(t.Context()); err == nil {
		t.Error("it serves without the lock")
	}
}

func BenchmarkWill(b *testing.B) {
	w := will{Version: version, Inheritance: voices(5000)}
	line, err := encode(w)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			_, _ = encode(w)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(line)))
		for b.Loop() {
			if _, err := parseWill(line); err != nil {
				b.Fatal(err)
			}
		}
	})
}
