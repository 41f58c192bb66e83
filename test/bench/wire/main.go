// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	if n := os.Getenv(portEnv); n != "" {
		if err := servePort(n); err != nil {
			fmt.Fprintf(os.Stderr, "bench-wire: port: %v\n", err)
			return 1
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o, err := readOptions(os.Getenv)
	if err == nil {
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench-wire: %v\n", err)
		return 1
	}
	return 0
}

// measure runs the bench on a segment of its own.
func measure(ctx context.Context, o options) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("the bench makes network namespaces: run it as root")
	}
	b := &bench{options: o}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return err
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	return b.report()
}
