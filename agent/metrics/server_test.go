// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/arpeggio-lb/arpeggio/agent/metrics"
)

// agentAt serves the metrics of an agent of this name; stop ends it, and waits for that.
func agentAt(t *testing.T, address, name string) (stop func()) {
	t.Helper()
	r := metrics.NewRegistry()
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "agent_" + name}, func() float64 { return 1 }))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&metrics.Server{Address: address, Gatherer: r}).Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// The new agent of an upgrade serves the address of the old one before that one ends, and alone
// afterwards; each scrape is answered by one of them, whole.
func TestTwoAgentsOfANodeShareTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	scrape := func() (old, young bool, err error) {
		res, err := client.Get("http://" + address + "/metrics")
		if err != nil {
			return false, false, err
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		old, young = strings.Contains(string(text), "\nagent_old 1\n"), strings.Contains(string(text), "\nagent_young 1\n")
		if err == nil && (res.StatusCode != http.StatusOK || old == young) {
			err = fmt.Errorf("%s: the old agent %v, the young one %v", res.Status, old, young)
		}
		return old, young, err
	}
	until := func(what string, done func(old, young bool) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; {
			old, young, err := scrape()
			if err == nil && done(old, young) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	stopOld := agentAt(t, address, "old")
	until("the old agent serves", func(old, _ bool) bool { return old })
	agentAt(t, address, "young")
	until("the young agent serves beside it", func(_, young bool) bool { return young })
	until("the old agent still serves", func(old, _ bool) bool { return old })
	stopOld()
	for range 50 {
		if old, young, err := scrape(); err != nil || old || !young {
			t.Fatalf("after the old agent's end: it %v, the young one %v, %v", old, young, err)
		}
	}
}
