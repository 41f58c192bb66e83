// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/arpeggio-lb/arpeggio/agent/metrics"
)

// shows reads the metrics over HTTP, as Prometheus does, from two servers at one address.
func shows(t *testing.T, w *metrics.Wire) string {
	t.Helper()
	r := metrics.NewRegistry()
	r.MustRegister(w)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range cap(ended) {
		go func() { ended <- (&metrics.Server{Address: address, Gatherer: r}).Run(ctx) }()
	}
	defer func() {
		stop()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	for range 1000 {
		res, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			continue // it does not listen yet
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", res.Status, err)
		}
		return string(text)
	}
	t.Fatal("nobody serves")
	return ""
}

// What a port counted stays when it is closed, and goes on with the next of the same interface.
func TestCountersNeverGoBack(t *testing.T) {
	w := metrics.NewWire()
	port := func(requests, noVoice uint64) func() metrics.Reading {
		return func() metrics.Reading {
			return metrics.Reading{
				Figures: map[string]uint64{metrics.Requests: requests},
				Drops:   map[string]uint64{"no_voice": noVoice}, Groups: 2,
			}
		}
	}
	has := func(when string, lines ...string) {
		t.Helper()
		text := shows(t, w)
		for _, line := range lines {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("%s: the metrics lack %q:\n%s", when, line, text)
			}
		}
	}
	w.Open("eth0", port(10, 3))
	w.Open("eth1", port(1, 0))
	has("open",
		`arpeggio_agent_requests_total{interface="eth0"} 10`, `arpeggio_agent_requests_total{interface="eth1"} 1`,
		`arpeggio_agent_drops_total{interface="eth0",reason="no_voice"} 3`, `arpeggio_agent_multicast_groups{interface="eth0"} 2`)
	w.Close("eth0")
	has("closed", `arpeggio_agent_requests_total{interface="eth0"} 10`, `arpeggio_agent_multicast_groups{interface="eth0"} 0`)
	w.Open("eth0", port(5, 1))
	has("open again", `arpeggio_agent_requests_total{interface="eth0"} 15`,
		`arpeggio_agent_drops_total{interface="eth0",reason="no_voice"} 4`, `arpeggio_agent_multicast_groups{interface="eth0"} 2`)
}

// An address that cannot be had is an error that names the flag; none is no error.
func TestAddress(t *testing.T) {
	if err := (&metrics.Server{Address: "192.0.2.1:9"}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--metrics-bind-address 192.0.2.1:9") {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := (&metrics.Server{Address: "0"}).Run(ctx); err != nil {
		t.Error(err)
	}
}
