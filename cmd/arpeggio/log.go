// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// logger makes the process's logger: one line a change of state, key=value.
func (c *common) logger() logr.Logger {
	log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		Level: slog.Level(-c.verbosity),
	}))
	klog.SetLogger(log.WithName("client-go"))
	return log
}
