// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress writes one line per step, each with the time since the beginning. A nil writer discards.
type progress struct {
	started time.Time

	mu  sync.Mutex // guards out: steps run side by side
	out io.Writer
}

func newProgress(out io.Writer) *progress {
	if out == nil {
		out = io.Discard
	}
	return &progress{started: time.Now(), out: out}
}

func (p *progress) step(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%7.1fs  %s\n", time.Since(p.started).Seconds(), fmt.Sprintf(format, args...))
}
