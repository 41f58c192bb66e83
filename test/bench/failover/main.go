// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o, err := readOptions(os.Getenv)
	if err == nil {
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench-failover: %v\n", err)
		return 1
	}
	return 0
}

// measure runs the bench on a lab of its own.
func measure(ctx context.Context, o options) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("the bench makes network namespaces: run it as root")
	}
	b, err := newBench(ctx, o)
	if !o.keep {
		defer func() {
			if b != nil {
				b.close()
			}
			err = errors.Join(err, cluster.Down(context.WithoutCancel(ctx), os.Stderr))
		}()
	}
	if err != nil {
		return err
	}
	return b.run(ctx)
}
