// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// aliveBound is how long the loop may stand still before the kubelet shall restart the
// agent. The gate has long been shut by then.
const aliveBound = 10 * time.Second

// health serves the kubelet's probes.
type health struct {
	address string
	pulse   *wire.Pulse
	now     func() election.Time // the boot clock
	synced  func() bool
}

// String names the task.
func (h *health) String() string { return "health endpoint" }

// Run serves until the context ends.
func (h *health) Run(ctx context.Context) error {
	if h.address == "0" {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.answer(h.alive))
	mux.HandleFunc("GET /readyz", h.answer(h.ready))
	s := &http.Server{Addr: h.address, Handler: mux, ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listening on %s (--health-bind-address): %w", h.address, err)
	}
	return nil
}

func (h *health) answer(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}

func (h *health) alive() error {
	g := h.pulse.Gate(h.now(), 0)
	if g.Tick != 0 && g.Now-g.Tick > aliveBound {
		return fmt.Errorf("the loop has not ticked for %s", (g.Now - g.Tick).Round(time.Second))
	}
	return nil
}

func (h *health) ready() error {
	if err := h.alive(); err != nil {
		return err
	}
	switch g := h.pulse.Gate(h.now(), 0); {
	case !h.synced():
		return errors.New("no list of Leases and announcements has come yet")
	case g.EchoUntil == 0:
		return errors.New("no heartbeat has come back yet")
	case g.Now > g.EchoUntil:
		return fmt.Errorf("no heartbeat has come back for %s", (g.Now - g.EchoUntil).Round(time.Second))
	}
	return nil
}
