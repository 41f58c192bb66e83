// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"
)

// NewRegistry gives a registry with what the process and its runtime count.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Server serves /metrics on an address.
type Server struct {
	// Address is a host and a port; "0" and empty: nothing is served.
	Address  string
	Gatherer prometheus.Gatherer
}

// String names the task.
func (s *Server) String() string { return "metrics endpoint" }

// Run serves until the context ends. An address that cannot be bound is an error.
func (s *Server) Run(ctx context.Context) error {
	if s.Address == "" || s.Address == "0" {
		<-ctx.Done()
		return nil
	}
	listen := net.ListenConfig{Control: reusePort}
	l, err := listen.Listen(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("--metrics-bind-address %s: %w", s.Address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{}))
	h := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics on %s: %w", s.Address, err)
	}
	return nil
}

// reusePort lets the agent of an upgrade serve beside the old one.
func reusePort(_, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, inner)
}
