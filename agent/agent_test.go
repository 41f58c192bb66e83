// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

func TestValidate(t *testing.T) {
	good := Options{Node: "n1", Namespace: "arpeggio-system", HealthAddress: "127.0.0.1:9809"}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   []string // words of the message; nil: valid
	}{
		{"as shipped", func(*Options) {}, nil},
		{"without health endpoint", func(o *Options) { o.HealthAddress = "0" }, nil},
		{"IPv6", func(o *Options) { o.HealthAddress = "[::1]:9809" }, nil},
		{"no node", func(o *Options) { o.Node = "" }, []string{"--node-name", "kubectl get nodes"}},
		{"no node name", func(o *Options) { o.Node = "Node_1" }, []string{"--node-name", `"Node_1"`}},
		{"no namespace", func(o *Options) { o.Namespace = "" }, []string{"--namespace", "arpeggio-system"}},
		{"port alone", func(o *Options) { o.HealthAddress = ":9809" }, []string{"--health-bind-address", "127.0.0.1:9809", "0 for none"}},
		{"metrics", func(o *Options) { o.MetricsAddress = "127.0.0.1:9810" }, nil},
		{"metrics on a port alone", func(o *Options) { o.MetricsAddress = ":9810" }, []string{"--metrics-bind-address", "127.0.0.1:9810", "0 for none"}},
		{"no health address", func(o *Options) { o.HealthAddress = "" }, []string{"--health-bind-address"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			err := o.Validate()
			if (err != nil) != (tt.want != nil) {
				t.Fatalf("got %v", err)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if err == nil && (o.Incarnation == "" || o.Installation != o.Namespace) {
				t.Errorf("left empty: %+v", o)
			}
		})
	}
	a, b := good, good
	if a.Validate() != nil || b.Validate() != nil || a.Incarnation == b.Incarnation {
		t.Error("two agents have one incarnation")
	}
}

func TestHealth(t *testing.T) {
	for _, tt := range []struct {
		name           string
		tick, echo     election.Time
		synced         bool
		healthz, ready int
		says           string
	}{
		{"just started", 0, 0, false, 200, 503, "no list of Leases"},
		{"listed", time.Hour, 0, true, 200, 503, "no heartbeat has come back yet"},
		{"in order", time.Hour, time.Hour + time.Second, true, 200, 200, "ok"},
		{"slow, but there", time.Hour - 5*time.Second, time.Hour + time.Second, true, 200, 200, "ok"},
		{"cut off", time.Hour, time.Hour - 7*time.Second, true, 200, 503, "for 7s"},
		{"the loop hangs", time.Hour - 11*time.Second, time.Hour + time.Second, true, 503, 503, "has not ticked for 11s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &health{pulse: &wire.Pulse{}, now: func() election.Time { return time.Hour }, synced: func() bool { return tt.synced }}
			if tt.tick != 0 {
				h.pulse.Tick(tt.tick)
			}
			h.pulse.EchoUntil(tt.echo)
			ask := func(check func() error) (int, string) {
				w := httptest.NewRecorder()
				h.answer(check)(w, httptest.NewRequest(http.MethodGet, "/", nil))
				return w.Code, w.Body.String()
			}
			if code, body := ask(h.alive); code != tt.healthz {
				t.Errorf("/healthz: %d %s", code, body)
			}
			if code, body := ask(h.ready); code != tt.ready || !strings.Contains(body, tt.says) {
				t.Errorf("/readyz: %d %s, want %d %s", code, body, tt.ready, tt.says)
			}
		})
	}
}

func TestHealthAddressInUse(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	h := &health{address: s.Listener.Addr().String(), pulse: &wire.Pulse{}, now: wire.Boottime}
	if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--health-bind-address") {
		t.Errorf("got %v", err)
	}
}

// leaverFunc is a heartbeat.
type leaverFunc func(context.Context) error

func (f leaverFunc) Leave(ctx context.Context) error { return f(ctx) }

func TestShutDown(t *testing.T) {
	slow := leaverFunc(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	quick := leaverFunc(func(context.Context) error { return nil })
	runs := func(ctx context.Context, l *loop, _ context.CancelFunc) { go func() { _ = l.Run(ctx) }() }
	for _, tt := range []struct {
		name  string
		beat  leaver
		begin func(context.Context, *loop, context.CancelFunc)
		want  time.Duration
	}{
		{"nothing to hand over", quick, runs, 0},
		{"the heartbeat cannot be written", slow, runs, markBound},
		{"the loop hangs", quick, func(_ context.Context, l *loop, _ context.CancelFunc) {
			for range inputs {
				l.in <- leave{}
			}
		}, leaveBound},
		{"handing over does not end", quick, func(context.Context, *loop, context.CancelFunc) {}, leaveBound},
		{"a task fails meanwhile", quick, func(_ context.Context, _ *loop, fail context.CancelFunc) {
			time.AfterFunc(time.Second, fail)
		}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, fail := context.WithCancel(t.Context())
				defer fail()
				l := newLoop(election.Defaults("n1"), nil, Options{Node: "n1", Log: logr.Discard()})
				begun := time.Now()
				l.now = func() election.Time { return time.Hour + time.Since(begun) }
				tt.begin(ctx, l, fail)
				shutDown(ctx, l, tt.beat, logr.Discard())
				if took := time.Since(begun); took < tt.want || took > tt.want+100*time.Millisecond {
					t.Errorf("took %s, want %s", took, tt.want)
				}
			})
		})
	}
}
