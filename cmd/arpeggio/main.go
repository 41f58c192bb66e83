// SPDX-License-Identifier: Apache-2.0

// Command arpeggio gives Services of type LoadBalancer an address on the local network: as
// "manager" it allocates addresses and ranks nodes, as "agent" it speaks for them on a
// node.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "arpeggio:", err)
		return 1
	}
	return 0
}
