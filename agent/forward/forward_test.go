// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake is a kube-proxy; each answer takes a millisecond.
type fake struct {
	mu     sync.Mutex
	status int
	ready  map[int32]bool
	asked  map[int32]int // by port; 0: the health URL
	under  int
	most   int
}

func (f *fake) port(_ context.Context, n int32) bool {
	f.mu.Lock()
	f.asked[n]++
	f.under++
	f.most = max(f.most, f.under)
	f.mu.Unlock()
	time.Sleep(time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under--
	return f.ready[n]
}

func (f *fake) url(context.Context, string) int {
	time.Sleep(time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[0]++
	return f.status
}

// set changes what it answers.
func (f *fake) set(status int, ready ...int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
	f.ready = map[int32]bool{}
	for _, n := range ready {
		f.ready[n] = true
	}
}

// count gives how often was asked since it was called last.
func (f *fake) count() map[int32]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked
	f.asked = map[int32]int{}
	return n
}

// bubble is a follower of a fake, with what it put.
type bubble struct {
	*Follower
	proxy *fake
	mu    sync.Mutex
	puts  []Ready
}

func (b *bubble) last(t *testing.T) Ready {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.puts) == 0 {
		t.Fatal("nothing was put")
	}
	return b.puts[len(b.puts)-1]
}

func in(t *testing.T, c Config, f func(*testing.T, *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{proxy: &fake{}}
		b.proxy.set(0)
		b.proxy.count()
		c.Put = func(r Ready) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.puts = append(b.puts, r)
		}
		b.Follower = New(c)
		b.asker = b.proxy
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		f(t, b)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

const url = "http://127.0.0.1:10256/healthz"

func TestPorts(t *testing.T) {
	in(t, Config{}, func(t *testing.T, b *bubble) {
		time.Sleep(50 * time.Millisecond)
		if d := cmp.Diff(Ready{Ports: map[int32]bool{}, Proxy: true}, b.last(t)); d != "" {
			t.Error(d)
		}
		b.proxy.set(0, 30001)
		b.Want(30001, 30002)
		time.Sleep(50 * time.Millisecond)
		if d := cmp.Diff(map[int32]bool{30001: true, 30002: false}, b.last(t).Ports); d != "" {
			t.Error(d)
		}
		// What becomes ready is known within a second, what was dropped is forgotten.
		b.proxy.set(0, 30001, 30002)
		time.Sleep(quick + 50*time.Millisecond)
		if d := cmp.Diff(map[int32]bool{30001: true, 30002: true}, b.last(t).Ports); d != "" {
			t.Error(d)
		}
		b.Want(30002)
		time.Sleep(50 * time.Millisecond)
		if d := cmp.Diff(map[int32]bool{30002: true}, b.last(t).Ports); d != "" {
			t.Error(d)
		}
		// What is ready no more is known within ten seconds, or at once if there is a hurry.
		b.proxy.set(0)
		time.Sleep(slow + 50*time.Millisecond)
		if d := cmp.Diff(map[int32]bool{30002: false}, b.last(t).Ports); d != "" {
			t.Error(d)
		}
		time.Sleep(eager + 2*slow)
		b.proxy.set(0, 30002)
		b.Hurry(30002, 30003)
		time.Sleep(50 * time.Millisecond)
		if d := cmp.Diff(map[int32]bool{30002: true}, b.last(t).Ports); d != "" {
			t.Error(d)
		}
		// Nothing changes: nothing is put, and little is asked.
		synctest.Wait()
		puts := len(b.puts)
		b.proxy.count()
		time.Sleep(time.Minute)
		if n := b.proxy.count()[30002]; n < 5 || n > 7 || len(b.puts) != puts {
			t.Errorf("asked %d times in a minute, put %d times", n, len(b.puts)-puts)
		}
	})
}

// A port that is never ready is asked often at first, and seldom later.
func TestEager(t *testing.T) {
	in(t, Config{}, func(t *testing.T, b *bubble) {
		b.Want(30001)
		time.Sleep(eager)
		if n := b.proxy.count()[30001]; n < 25 || n > 31 {
			t.Errorf("asked %d times in the first %s", n, eager)
		}
		time.Sleep(time.Minute)
		if n := b.proxy.count()[30001]; n > 8 {
			t.Errorf("asked %d times in the next minute", n)
		}
	})
}

// A thousand ports are asked at once when they are new, eight at a time, and later evenly.
func TestMany(t *testing.T) {
	in(t, Config{}, func(t *testing.T, b *bubble) {
		want := map[int32]bool{}
		var ports []int32
		for n := range int32(1000) {
			ports = append(ports, 30000+n)
			want[30000+n] = false
		}
		b.Want(ports...)
		time.Sleep(200 * time.Millisecond)
		if !maps.Equal(want, b.last(t).Ports) {
			t.Errorf("%d of 1000 are known", len(b.last(t).Ports))
		}
		if b.proxy.most != atOnce {
			t.Errorf("%d at once", b.proxy.most)
		}
		b.mu.Lock()
		if len(b.puts) > 20 {
			t.Errorf("put %d times", len(b.puts))
		}
		b.mu.Unlock()
		b.proxy.count()
		time.Sleep(10 * time.Second)
		all := 0
		for _, n := range b.proxy.count() {
			all += n
		}
		if all < 450 || all > 510 {
			t.Errorf("%d questions in ten seconds", all)
		}
		// Whoever is in a hurry does not wait for all of them.
		b.proxy.set(0, 30500)
		b.Hurry(30500)
		time.Sleep(50 * time.Millisecond)
		if !b.last(t).Ports[30500] {
			t.Error("it waits in the line")
		}
	})
}

func TestHealth(t *testing.T) {
	type step struct {
		after  time.Duration
		status int
		want   bool
	}
	for _, tt := range []struct {
		name     string
		answered bool
		steps    []step
	}{
		{"there is none", false, []step{{time.Second, 0, true}, {time.Minute, 0, true}}},
		{"well", false, []step{{time.Second, 200, true}, {time.Minute, 200, true}}},
		{"unhealthy", false, []step{{time.Second, 503, false}, {5 * time.Second, 200, true}}},
		{"ends and comes back", false, []step{{time.Second, 200, true}, {5 * time.Second, 0, false}, {1500 * time.Millisecond, 200, false}, {3 * time.Second, 200, true}}},
		{"the agent restarts, kube-proxy is well", true, []step{{time.Second, 200, true}}},
		{"the node booted, kube-proxy comes later", true, []step{{time.Second, 0, false}, {1500 * time.Millisecond, 200, false}, {3 * time.Second, 200, true}}},
		{"the node booted for the first time", false, []step{{time.Second, 0, true}, {1500 * time.Millisecond, 200, false}, {3 * time.Second, 200, true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, Config{HealthURL: url, Answered: tt.answered}, func(t *testing.T, b *bubble) {
				answered := tt.answered
				for n, s := range tt.steps {
					b.proxy.set(s.status)
					time.Sleep(s.after)
					answered = answered || s.status != 0
					if got := b.last(t); got.Proxy != s.want || got.Answered != answered {
						t.Errorf("step %d: %+v, want %v, answered %v", n, got, s.want, answered)
					}
				}
			})
		})
	}
}
