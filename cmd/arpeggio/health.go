// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/arpeggio-lb/arpeggio/agent/health"
)

// healthCommand is what the kubelet's probes run in the agent's container.
func healthCommand() *cobra.Command {
	var podUID string
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the agent of a pod whether it is live, or ready",
		Long: `Ask the agent of a pod, on this node and as the agent's user, whether it is live, or
with --ready whether it is ready. It says why not, and then ends with status 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return askHealth(cmd.Context(), podUID, ready) },
	}
	cmd.Flags().StringVar(&podUID, "pod-uid", os.Getenv("POD_UID"), "UID of the agent's pod, as the agent was given it; the default is that of the environment, POD_UID")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready, not whether it is live")
	return cmd
}

func askHealth(ctx context.Context, podUID string, ready bool) error {
	if podUID == "" {
		return errors.New("--pod-uid is empty, and POD_UID too: name the UID of the agent's pod")
	}
	return health.Ask(ctx, podUID, ready)
}
