// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"

	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// Capture begins to record who speaks for which address on the LAN, as seen by the switch. Close it.
func (c *Cluster) Capture() (*capture.Capture, error) { return c.CaptureOn(LANBridge) }

// CaptureOn does the same at another bridge of the switch: [SecondLANBridge], or [FarBridge].
func (c *Cluster) CaptureOn(bridge string) (*capture.Capture, error) {
	var opened *capture.Capture
	err := inNamespace(SwitchNamespace, func() (err error) {
		opened, err = capture.Open(bridge)
		return err
	})
	return opened, err
}

// Probing is a probe that runs in a host.
type Probing struct {
	cmd    *exec.Cmd
	input  io.Closer
	output *bufio.Reader
	stderr *bytes.Buffer
}

// Probe starts a probe in the named host and returns when it has begun to ask. It runs until [Probing.Stop], or is
// killed when ctx ends.
func (c *Cluster) Probe(ctx context.Context, host string, config probe.Config) (*Probing, error) {
	b, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	p := &Probing{
		cmd:    c.Command(ctx, host, filepath.Join(c.state.Binaries.Programs, "lab-probe"), string(b)),
		stderr: new(bytes.Buffer),
	}
	p.cmd.Stderr = p.stderr
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.output = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a probe in %s: %w", host, err)
	}
	if line, err := p.output.ReadString('\n'); err != nil || line != "started\n" {
		return nil, fmt.Errorf("probe in %s: %w: %s", host, errors.Join(err, p.cmd.Wait()), p.stderr)
	}
	return p, nil
}

// Stop ends the probe, waits for outstanding answers, at most the probe's timeout, and gives the report.
func (p *Probing) Stop() (probe.Report, error) {
	var report probe.Report
	err := p.input.Close()
	if err == nil {
		err = json.NewDecoder(p.output).Decode(&report)
	}
	if err = errors.Join(err, p.cmd.Wait()); err != nil {
		return probe.Report{}, fmt.Errorf("probe: %w: %s", err, p.stderr)
	}
	return report, nil
}
