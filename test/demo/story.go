// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// story prints what happens. As a Writer it takes the progress of long steps.
type story struct {
	out   io.Writer
	count int
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func (s *story) chapter(title string) {
	s.count++
	s.say("\n%d. %s\n", s.count, title)
}

// Write prints progress, indented.
func (s *story) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		s.say("  %s", line)
	}
	return len(p), nil
}

// show runs a command, prints it as the reader would type it, and its output.
func (s *story) show(typed string, cmd *exec.Cmd) (string, error) {
	s.say("\n  $ %s\n", typed)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		s.say("  | %s\n", strings.TrimRight(line, "\n"))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", typed, err)
	}
	return string(out), nil
}

// check prints a statement and whether it holds.
func (s *story) check(holds bool, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !holds {
		s.say("  [does not hold] %s\n", text)
		return fmt.Errorf("%s", text)
	}
	s.say("  [holds] %s\n", text)
	return nil
}

// until repeats f until it gives no error.
func until(ctx context.Context, bound time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", bound, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
