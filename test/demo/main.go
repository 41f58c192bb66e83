// SPDX-License-Identifier: Apache-2.0

// Command demo tells the story of a VIP on a real cluster: it is installed, given, answered
// for, and taken over after a crash. Every step is checked; the first that does not hold
// ends the demo with an error.
//
// With KEEP=1 the cluster stays, and how to use it is printed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s := &story{out: os.Stdout}
	err := tell(ctx, s)
	if os.Getenv("KEEP") == "1" {
		s.say("\nThe cluster stays (KEEP=1). Use it, and end it with 'bin/lab down':\n")
		for _, line := range []string{
			"bin/lab kubectl -- get vipannouncements -o wide",
			"bin/lab exec client1 -- curl http://192.168.77.240/",
			"bin/lab fault node1 crash       # and restore; bin/lab fault --help lists the others",
			"bin/lab status",
		} {
			s.say("    %s\n", line)
		}
	} else if derr := cluster.Down(context.WithoutCancel(ctx), s); derr != nil && err == nil {
		err = fmt.Errorf("cleaning up: %w", derr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: it does not hold:", err)
		return 1
	}
	s.say("\nEverything held.\n")
	return 0
}

// tell runs the story on a cluster of its own.
func tell(ctx context.Context, s *story) error {
	root, err := cluster.SourceRoot()
	if err != nil {
		return err
	}
	s.chapter("A cluster: three nodes and a client on one LAN")
	c, err := cluster.Up(ctx, cluster.Options{Progress: s, Owned: os.Getenv("KEEP") != "1"})
	if err != nil {
		return err
	}
	s.chapter("Install Arpeggio: the image, and one manifest")
	c = c.WithProgress(s)
	if err := c.Load(ctx, filepath.Join(root, "bin", "arpeggio.tar")); err != nil {
		return err
	}
	s.say("  $ kubectl apply -f dist/install.yaml\n")
	if err := c.Install(ctx); err != nil {
		return err
	}
	t := &tale{story: s, lab: c, root: root}
	for _, chapter := range []func(context.Context) error{t.service, t.status, t.wire, t.crash} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}
