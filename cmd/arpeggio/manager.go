// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/arpeggio-lb/arpeggio/controllers"
)

func managerCommand() *cobra.Command {
	var c common
	var o controllers.Options
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Allocate addresses to Services and say which nodes may speak for them",
		Long: `The manager gives Services their addresses, ranks the nodes, and installs the agents.

In a cluster it runs as a Deployment. By hand, beside agents that are started by hand:
  arpeggio manager --kubeconfig FILE --namespace arpeggio-system --agent-image ""`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			o.Config, o.Namespace, o.Log = cfg, c.namespace, c.logger()
			ctrl.SetLogger(o.Log)
			if err := o.Validate(); err != nil {
				return err
			}
			return controllers.Run(cmd.Context(), o)
		},
	}
	c.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&o.AgentImage, "agent-image", "", "image of the agents' DaemonSet; empty: install none")
	f.BoolVar(&o.OnlyNamedClass, "only-named-class", false, "leave Services without a loadBalancerClass to others")
	f.BoolVar(&o.LeaderElection, "leader-elect", true, "let only one of several managers work, by the Lease \"manager\"")
	f.StringVar(&o.HealthAddress, "health-bind-address", ":8081", "address of /healthz and /readyz; 0: none")
	f.StringVar(&o.MetricsAddress, "metrics-bind-address", "0", "address of /metrics; 0: none")
	f.StringVar(&o.AgentMetricsAddress, "agent-metrics-bind-address", "", "address of /metrics on every node, which the agents of the DaemonSet serve without authentication (0.0.0.0:9810, or 127.0.0.1:9810 for the node itself); empty or 0: none")
	return cmd
}
