// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/arpeggio-lb/arpeggio/agent"
)

func agentCommand() *cobra.Command {
	var c common
	var o agent.Options
	cmd := &cobra.Command{
		Use:   "agent --node-name NODE",
		Short: "Contend for the Leases of VIPs and answer ARP and NDP for those that this node holds",
		Long: `The agent of one node. It needs the capability NET_RAW, no other, and no root.

In a cluster the manager runs it as a DaemonSet. By hand:
  arpeggio agent --kubeconfig FILE --namespace arpeggio-system --node-name NODE`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			o.REST, o.Namespace, o.Version, o.Log = cfg, c.namespace, version, c.logger()
			if err := o.Validate(); err != nil {
				return err
			}
			return agent.Run(cmd.Context(), o)
		},
	}
	c.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Node, "node-name", "", "name of this node, as in kubectl get nodes (required)")
	f.StringVar(&o.Incarnation, "pod-uid", "", "UID of the agent's pod; empty: a random one")
	f.StringVar(&o.Installation, "installation", "", "UID of the installation's namespace, so that two installations on one LAN know each other's frames apart; empty: the namespace's name")
	f.StringVar(&o.HealthAddress, "health-bind-address", "127.0.0.1:9809", "address of /healthz and /readyz; 0: none")
	return cmd
}
