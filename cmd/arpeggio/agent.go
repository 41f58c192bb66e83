// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/arpeggio-lb/arpeggio/agent"
)

func agentCommand() *cobra.Command {
	var c common
	var o agent.Options
	var nodeIPs string
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
			if o.NodeIPs, err = parseIPs(nodeIPs); err != nil {
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
	f.StringVar(&o.HealthAddress, "health-bind-address", "0", "address of /healthz and /readyz; 0: none, \"arpeggio agent health\" asks without one")
	f.StringVar(&o.MetricsAddress, "metrics-bind-address", "0", "address of /metrics, without authentication: bind it to one that only the right people reach; 0: none")
	f.StringVar(&o.StateDir, "state-dir", "", "directory to keep what the agent needs when it is started again while the API server is away; empty: keep nothing")
	f.StringVar(&o.MarkKeyFile, "mark-key-file", "", "file with the key that all agents of the installation share, 32 hexadecimal digits; empty: no key, and any host on the LAN can speak in an agent's name")
	f.StringVar(&o.KubeProxyHealthURL, "kube-proxy-health-url", "http://127.0.0.1:10256/healthz", "where to ask whether this node's kube-proxy is healthy; it counts once it has answered; empty: do not ask")
	f.StringVar(&nodeIPs, "node-ips", "", "addresses of this node, separated by commas, at which its kube-proxy answers on health check node ports; empty: loopback addresses only")
	cmd.AddCommand(healthCommand())
	return cmd
}

// parseIPs reads addresses as status.hostIPs of a pod gives them.
func parseIPs(list string) ([]netip.Addr, error) {
	if list == "" {
		return nil, nil
	}
	var ips []netip.Addr
	for _, s := range strings.Split(list, ",") {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("--node-ips %q: want addresses separated by commas (192.168.1.7,fd00:1::7): %w", list, err)
		}
		ips = append(ips, ip)
	}
	return ips, nil
}
