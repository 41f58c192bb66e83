// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// run runs a command to its end and gives its standard output. The error carries the command and what it said.
func run(ctx context.Context, name string, args ...string) (string, error) {
	return runInput(ctx, nil, name, args...)
}

func runInput(ctx context.Context, input io.Reader, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said)
	}
	return stdout.String(), nil
}

// ipBatch gives ip(8) a list of commands to run in a namespace; it stops at the first that fails.
func ipBatch(ctx context.Context, namespace string, commands ...string) error {
	if len(commands) == 0 {
		return nil
	}
	_, err := runInput(ctx, strings.NewReader(strings.Join(commands, "\n")+"\n"), "ip", "-n", namespace, "-batch", "-")
	if err != nil {
		return fmt.Errorf("in namespace %s, with %q: %w", namespace, commands, err)
	}
	return nil
}
