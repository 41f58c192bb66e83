// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	probes "github.com/arpeggio-lb/arpeggio/agent/health"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// An agent in another's shadow is ready when it is synced; without the shadow it needs its
// heartbeat.
func TestShadowIsReady(t *testing.T) {
	synced, shadow := false, true
	h := &health{
		pulse: &wire.Pulse{}, now: func() election.Time { return time.Hour },
		synced: func() bool { return synced }, shadow: func() bool { return shadow },
	}
	h.pulse.Tick(time.Hour)
	if err := h.ready(); err == nil || !strings.Contains(err.Error(), "no list") {
		t.Errorf("before the lists: %v", err)
	}
	synced = true
	if err := h.ready(); err != nil {
		t.Errorf("in the shadow: %v", err)
	}
	shadow = false
	if err := h.ready(); err == nil || !strings.Contains(err.Error(), "heartbeat") {
		t.Errorf("out of it, without a heartbeat: %v", err)
	}
	shadow = true
	h.pulse.Tick(time.Hour - 2*aliveBound)
	if err := h.ready(); err == nil || !strings.Contains(err.Error(), "ticked") {
		t.Errorf("with a loop that hangs: %v", err)
	}
}

// Two agents of a node are probed side by side, each for itself.
func TestProbesOfTwoAgents(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	ids := []string{uuid.NewString(), uuid.NewString()}
	for n, id := range ids {
		h := &health{
			address: "0", incarnation: id, pulse: &wire.Pulse{}, now: func() election.Time { return time.Hour },
			synced: func() bool { return n == 0 }, shadow: func() bool { return true }, log: logr.Discard(),
		}
		go func() { ended <- h.Run(ctx) }()
	}
	ask := func(n int, isReady bool, want string) {
		t.Helper()
		var err error
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			err = probes.Ask(t.Context(), ids[n], isReady)
			if err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want) {
				return
			}
		}
		t.Errorf("agent %d: %v, want %q", n, err, want)
	}
	ask(0, false, "")
	ask(1, false, "")
	ask(0, true, "")
	ask(1, true, "no list of Leases")
	stop()
	for range ids {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	ask(0, false, "does not listen")
}
