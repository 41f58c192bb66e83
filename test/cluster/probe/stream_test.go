// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// A server that ends each connection after its third answer, without a word, breaks every one that is made.
func TestStreamCountsBrokenConnections(t *testing.T) {
	var answers atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if answers.Add(1)%4 == 0 {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte("pod=a client=x"))
	}))
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, Config{Kind: Stream, Target: netip.MustParseAddrPort(web.Listener.Addr().String()), Interval: 2 * time.Millisecond}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if want := int(answers.Load()) / 4; len(r.Broken) != want || want == 0 || len(r.Lost) != want {
		t.Errorf("%s: %d connections broken, want %d; errors %v", r, len(r.Broken), want, r.Errors)
	}
	if got := r.BrokenIn(r.Started, r.Stopped.Add(time.Second)); got != len(r.Broken) {
		t.Errorf("broken in all the time: %d of %d", got, len(r.Broken))
	}
}

func TestStreamKeepsConnections(t *testing.T) {
	var opened atomic.Int32
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a client=x")) }))
	web.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	web.Start()
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r, err := Run(ctx, Config{Kind: Stream, Connections: 3, Target: netip.MustParseAddrPort(web.Listener.Addr().String()), Interval: 2 * time.Millisecond}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if opened.Load() != 3 || len(r.Broken) > 0 || len(r.Lost) > 0 || r.Sent < 6 {
		t.Errorf("%s: %d connections opened, %d broken; want 3 and 0", r, opened.Load(), len(r.Broken))
	}
}

func TestSilences(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var requests []request
	for _, ms := range []int{10, 20, 50, 60, 80, 180, 190} {
		requests = append(requests, request{sent: at(ms), answered: at(ms)})
	}
	requests = append(requests, request{sent: at(70)})
	r := summarize(Config{Kind: UDP, Interval: 10 * time.Millisecond}, start, at(200), requests)
	if len(r.Silences) != 2 || r.Silences[0].Length() != 30*time.Millisecond || r.Silences[1].Length() != 100*time.Millisecond {
		t.Fatalf("silences %v, want those of 30 and 100 ms", r.Silences)
	}
	for _, test := range []struct{ from, to, want int }{
		{0, 200, 100}, {0, 60, 30}, {0, 81, 100}, {100, 110, 100}, {50, 60, 10}, {180, 200, 10},
	} {
		if got := r.Longest(at(test.from), at(test.to)); got != time.Duration(test.want)*time.Millisecond {
			t.Errorf("longest silence from %d to %d ms: %s, want %d ms", test.from, test.to, got, test.want)
		}
	}
	if r.LostIn(at(0), at(70)) != 0 || r.LostIn(at(70), at(71)) != 1 {
		t.Errorf("lost %v: counted %d before 70 ms, %d at it", r.Lost, r.LostIn(at(0), at(70)), r.LostIn(at(70), at(71)))
	}
}

func TestDue(t *testing.T) {
	for _, test := range []struct {
		n        int
		interval time.Duration
		after    time.Duration
		want     int
	}{
		{1000, 200 * time.Millisecond, 5 * time.Millisecond, 25},
		{1000, 200 * time.Millisecond, time.Second, 5000},
		{3, time.Second, 333 * time.Millisecond, 0},
		{3, time.Second, 334 * time.Millisecond, 1},
	} {
		if got := due(test.n, test.interval, test.after); got != test.want {
			t.Errorf("%d targets every %s, after %s: %d due, want %d", test.n, test.interval, test.after, got, test.want)
		}
	}
}
