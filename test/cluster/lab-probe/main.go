// SPDX-License-Identifier: Apache-2.0

// Command lab-probe runs one probe (see package probe) in the network namespace it is started in. Its argument is the
// configuration in JSON. It writes "started" and, when it gets SIGTERM, SIGINT or the end of its input, the report in
// JSON. It is not run by hand.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "lab-probe: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: lab-probe CONFIG")
	}
	var c probe.Config
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		return fmt.Errorf("parsing the configuration: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() { // whoever started this is gone, or wants the report
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	report, err := probe.Run(ctx, c, func() { fmt.Println("started") })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}
