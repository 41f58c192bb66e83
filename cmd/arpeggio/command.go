// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// version is set by the linker.
var version = "dev"

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "arpeggio",
		Short: "A LAN load balancer for Kubernetes: addresses on any Ethernet, by ARP and NDP",
		Long: `Arpeggio gives Services of type LoadBalancer an address on the local network.
One node at a time speaks for an address; when it goes, another speaks at once.

The manager allocates addresses and says which nodes may speak. The agents, one on
each node, elect the speaker and answer ARP and NDP.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(managerCommand(), agentCommand())
	return root
}

// common are the flags that both parts take.
type common struct {
	kubeconfig string
	namespace  string
	verbosity  int
}

func (c *common) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "path of a kubeconfig file; empty: the pod's service account")
	f.StringVar(&c.namespace, "namespace", "arpeggio-system", "namespace of the installation, in which the Leases are")
	f.IntVarP(&c.verbosity, "verbosity", "v", 0, "how much is logged: 0 changes of state, 1 the steps to them")
}

// config gives the way to the API server.
func (c *common) config() (*rest.Config, error) {
	if c.namespace == "" {
		return nil, fmt.Errorf("--namespace is empty: name the namespace of the installation (arpeggio-system)")
	}
	if err := noticeDeadConnections(); err != nil {
		return nil, err
	}
	load := rest.InClusterConfig
	if c.kubeconfig != "" {
		load = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", c.kubeconfig) }
	}
	cfg, err := load()
	if err != nil {
		return nil, fmt.Errorf("no way to the API server, outside a cluster --kubeconfig names the file: %w", err)
	}
	cfg.UserAgent = "arpeggio/" + version
	return cfg, nil
}

// noticeDeadConnections has watches notice within five seconds that nothing comes from the
// API server any more; client-go's default is 45. It takes these times, in seconds, from the
// environment alone, when a client is made.
func noticeDeadConnections() error {
	for name, seconds := range map[string]string{
		"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "3", // of silence, before a ping is sent
		"HTTP2_PING_TIMEOUT_SECONDS":      "2", // until its answer
	} {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, seconds); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}
