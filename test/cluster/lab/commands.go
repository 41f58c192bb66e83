// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "A real Kubernetes cluster on this machine, in network namespaces",
		Long: `lab runs a real Kubernetes cluster on this machine: etcd, the control plane, nodes with containerd,
kubelet and kube-proxy, and client machines, each in a network namespace, on a LAN of their own.

Hosts are called control-plane, node1 ..., gateway, client1 ... The state is in ` + cluster.StateDir + `,
logs in ` + cluster.StateDir + `/HOST/logs. Needs root.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		buildCommand(), upCommand(), downCommand(), statusCommand(), kubeconfigCommand(),
		loadCommand(), installCommand(), kubectlCommand(), execCommand(),
		faultCommand(), separateCommand(), rejoinCommand(), fabricCommand(), proxyCommand(),
	)
	return root
}

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Install Debian packages and build the programs into the cache, and nothing else",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := cluster.Build(cmd.Context(), cmd.ErrOrStderr())
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n%s\n", b.Kubernetes, b.Containerd, b.Programs)
			}
			return err
		},
	}
}

func upCommand() *cobra.Command {
	var o cluster.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or what of it does not run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = cmd.ErrOrStderr()
			_, err := cluster.Up(cmd.Context(), o)
			return err
		},
	}
	cmd.Flags().IntVar(&o.Nodes, "nodes", 3, "number of nodes")
	cmd.Flags().IntVar(&o.Clients, "clients", 1, "number of clients on the LAN")
	cmd.Flags().IntVar(&o.LANs, "lans", 1, "number of LANs, 1 or 2")
	cmd.Flags().StringVar((*string)(&o.Fabric), "fabric", string(cluster.Switched), fmt.Sprintf("kind of the LAN: one of %v", cluster.Fabrics()))
	return cmd
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the cluster and remove everything of it, also after a crash",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cluster.Down(cmd.Context(), cmd.ErrOrStderr()) },
	}
}

func statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the hosts, their addresses and whether they run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster.Open()
			if err != nil {
				return err
			}
			s, err := c.Status()
			if err != nil {
				return err
			}
			switch output {
			case "json":
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			case "":
				return printStatus(cmd.OutOrStdout(), s)
			}
			return fmt.Errorf("unknown output %q: want json or nothing", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for a machine-readable form")
	return cmd
}

func printStatus(out io.Writer, s cluster.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tSTATE\tNAMESPACE\tINTERFACE\tMAC\tIPV4\tIPV6\tMANAGEMENT")
	for _, h := range s.Hosts {
		management := "-"
		if h.ManagementIPv4.IsValid() {
			management = h.ManagementIPv4.String() + "," + h.ManagementIPv6.String()
		}
		lan := []string{"-", "-", "-", "-"}
		if h.IPv4.IsValid() {
			lan = []string{h.Interface, h.MAC, h.IPv4.String(), h.IPv6.String()}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", h.Name, h.State, h.Namespace, strings.Join(lan, "\t"), management)
	}
	fmt.Fprintf(w, "\nKubernetes %s, kubeconfig %s\n", s.Kubernetes, s.Kubeconfig)
	return w.Flush()
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster.Open()
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig())
			}
			return err
		},
	}
}

func loadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "load IMAGE.tar...",
		Short: "Import image archives (docker or OCI) into every node",
		Args:  cobra.MinimumNArgs(1),
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			for _, archive := range args {
				if err := c.Load(ctx, archive); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install",
		Short: "Apply dist/install.yaml and wait until manager and agents are ready",
		Args:  cobra.NoArgs,
		RunE:  withCluster(func(ctx context.Context, c *cluster.Cluster, _ []string) error { return c.Install(ctx) }),
	}
}

func kubectlCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kubectl -- ARGUMENT...",
		Short:   "Run kubectl as the administrator",
		Example: "  lab kubectl -- get nodes -o wide",
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			return attached(c.Kubectl(ctx, args...))
		}),
	}
	cmd.Flags().SetInterspersed(false) // what follows is kubectl's
	return cmd
}

func execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "exec HOST -- COMMAND [ARGUMENT...]",
		Short:   "Run a command in a host's network namespace",
		Example: "  lab exec client1 -- curl http://192.168.77.200",
		Args:    cobra.MinimumNArgs(2),
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			host, command := args[0], args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return errors.New("no command after the host")
			}
			return attached(c.Command(ctx, host, command[0], command[1:]...))
		}),
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func faultCommand() *cobra.Command {
	var lan int
	cmd := &cobra.Command{
		Use:   "fault HOST FAULT",
		Short: "Do something to a node, a client or the control plane",
		Long: fmt.Sprintf("Faults of a node: %v\nFaults of a client: %v\nFaults of %s: %v\n\nEach is undone by its counterpart, and by nothing else.",
			cluster.NodeFaults(), cluster.ClientFaults(), cluster.ControlPlane, cluster.ControlPlaneFaults()),
		Args: cobra.ExactArgs(2),
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			return c.FaultOn(ctx, args[0], lan, cluster.Fault(args[1]))
		}),
	}
	cmd.Flags().IntVar(&lan, "lan", 1, "which LAN, for faults of a host's LAN")
	return cmd
}

func fabricCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fabric KIND",
		Short: "Make the LAN one of another kind",
		Long:  fmt.Sprintf("Kinds: %v", cluster.Fabrics()),
		Args:  cobra.ExactArgs(1),
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			return c.SetFabric(ctx, cluster.Fabric(args[0]))
		}),
	}
}

func proxyCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "proxy-arp on|off",
		Short:     "Let the gateway answer every ARP request on the LAN, or no longer",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"on", "off"},
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			return c.ProxyARP(ctx, args[0] == "on")
		}),
	}
}

func separateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "separate HOST HOST",
		Short: "Let no frame on the LAN pass between two hosts, until 'rejoin'",
		Args:  cobra.ExactArgs(2),
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			return c.Separate(ctx, args[0], args[1])
		}),
	}
}

func rejoinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rejoin HOST HOST",
		Short: "Undo 'separate'",
		Args:  cobra.ExactArgs(2),
		RunE: withCluster(func(ctx context.Context, c *cluster.Cluster, args []string) error {
			return c.Rejoin(ctx, args[0], args[1])
		}),
	}
}

// withCluster opens the running cluster for a command, which reports its steps on standard error.
func withCluster(f func(context.Context, *cluster.Cluster, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := cluster.Open()
		if err != nil {
			return err
		}
		return f(cmd.Context(), c.WithProgress(cmd.ErrOrStderr()), args)
	}
}

// exitCode is how a command ended that had the terminal: it spoke for itself.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// attached runs a command on this terminal.
func attached(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitCode(exit.ExitCode())
	}
	return err
}
