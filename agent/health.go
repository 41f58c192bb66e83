// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	probes "github.com/arpeggio-lb/arpeggio/agent/health"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// aliveBound is how long the loop may stand still before the kubelet shall restart the
// agent. The gate has long been shut by then.
const aliveBound = 10 * time.Second

// health answers the kubelet's probes: those of its command, and on an address if there is
// one.
type health struct {
	address     string // "0": none
	incarnation string
	pulse       *wire.Pulse
	now         func() election.Time // the boot clock
	synced      func() bool
	shadow      func() bool // waits for another agent of this node to end; nil: never
	log         logr.Logger
}

// String names the task.
func (h *health) String() string { return "health endpoint" }

// Run serves until the context ends.
func (h *health) Run(ctx context.Context) error {
	var sockets sync.WaitGroup
	defer sockets.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sockets.Go(func() {
		failing := ""
		(&probes.Server{Incarnation: h.incarnation, Live: h.alive, Ready: h.ready, Failed: func(err error) {
			if err.Error() != failing {
				failing = err.Error()
				h.log.Info("the kubelet's probes find nobody, trying on", "err", failing)
			}
		}}).Run(ctx)
	})
	if h.address == "0" {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.answer(h.alive))
	mux.HandleFunc("GET /readyz", h.answer(h.ready))
	s := &http.Server{Addr: h.address, Handler: mux, ReadHeaderTimeout: time.Second}
	sockets.Go(func() {
		<-ctx.Done()
		_ = s.Close()
	})
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

// ready is whether the agent speaks, or could at once: the heartbeat of a node is its
// speaking agent's, so that one that waits in its shadow has none to show.
func (h *health) ready() error {
	if err := h.alive(); err != nil {
		return err
	}
	switch g := h.pulse.Gate(h.now(), 0); {
	case !h.synced():
		return errors.New("no list of Leases and announcements has come yet")
	case h.shadow != nil && h.shadow():
		return nil
	case g.EchoUntil == 0:
		return errors.New("no heartbeat has come back yet")
	case g.Now > g.EchoUntil:
		return fmt.Errorf("no heartbeat has come back for %s", (g.Now - g.EchoUntil).Round(time.Second))
	}
	return nil
}
