// SPDX-License-Identifier: Apache-2.0

// Command lab-init is the first process of a machine of the lab; see package machine. It is not run by hand.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: lab-init DIRECTORY")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := machine.Run(ctx, os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "lab-init: %v\n", err)
		return 1
	}
	return 0
}
