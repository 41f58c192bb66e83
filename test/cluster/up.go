// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

// Options is the shape of a cluster. The zero value of a number means its default.
type Options struct {
	// Nodes is 1 to 50, 3 by default.
	Nodes int
	// Clients is 1 to 50, 1 by default.
	Clients int
	// LANs is 1 or 2, 1 by default: with 2, every host on the LAN is on another one too.
	LANs int
	// Fabric is how the LAN's frames get from one host to another, Switched by default.
	Fabric Fabric
	// Owned ties the cluster to this process: nobody else may use Up on it meanwhile, and once the process has ended
	// without Down, as a test that is killed does, it is a leftover.
	Owned bool
	// Progress, if not nil, gets one line per step.
	Progress io.Writer
}

// upTimeout bounds each wait of Up; on an idle machine with two cores all of them together take half a minute.
const upTimeout = 3 * time.Minute

// Validate says what is wrong with the options, after defaults.
func (o Options) Validate() error {
	if o.Nodes < 0 || o.Nodes > maxNodes {
		return fmt.Errorf("%d nodes: want 1 to %d", o.Nodes, maxNodes)
	}
	if o.Clients < 0 || o.Clients > maxClients {
		return fmt.Errorf("%d clients: want 1 to %d", o.Clients, maxClients)
	}
	if o.LANs < 0 || o.LANs > 2 {
		return fmt.Errorf("%d LANs: want 1 or 2", o.LANs)
	}
	if o.Fabric != "" && !slices.Contains(Fabrics(), o.Fabric) {
		return fmt.Errorf("unknown fabric %q: want one of %v", o.Fabric, Fabrics())
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Clients == 0 {
		o.Clients = 1
	}
	if o.LANs == 0 {
		o.LANs = 1
	}
	if o.Fabric == "" {
		o.Fabric = Switched
	}
	return o
}

// Up builds what is missing, starts a cluster and returns when all its nodes are Ready. With a cluster of the same
// shape already up, it starts again whatever of it does not run; with one of another shape, it is an error.
// What an earlier Up left unfinished is removed first, and so is a cluster whose owner has ended.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	if os.Geteuid() != 0 {
		return nil, errors.New("the lab makes network namespaces: run it as root")
	}
	p := newProgress(o.Progress)
	binaries, err := build(ctx, p)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()

	found, err := readState()
	if err == nil && found.othersOwn() {
		return nil, fmt.Errorf("a lab is up that belongs to process %d, which still runs", found.Owner.PID)
	}
	switch {
	case errors.Is(err, ErrNotRunning):
		// Whatever carries our names now is a leftover.
		if err := tearDown(ctx, p); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case !found.Complete || found.abandoned() || !namespaceExists(SwitchNamespace):
		p.step("removing what was left behind")
		if err := tearDown(ctx, p); err != nil {
			return nil, err
		}
	case found.Nodes != o.Nodes || found.Clients != o.Clients || max(found.LANs, 1) != o.LANs:
		return nil, fmt.Errorf("a lab with %d nodes, %d clients and %d LANs is up: take it down first", found.Nodes, found.Clients, max(found.LANs, 1))
	default:
		c := newCluster(found, p)
		return c, c.mend(ctx)
	}

	c := newCluster(state{Nodes: o.Nodes, Clients: o.Clients, LANs: o.LANs, Fabric: o.Fabric, Binaries: binaries}, p)
	if o.Owned {
		self, err := machine.Self()
		if err != nil {
			return nil, err
		}
		c.state.Owner = &self
	}
	if err := c.state.write(); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	c.state.Complete = true
	if err := c.state.write(); err != nil {
		return nil, err
	}
	p.step("up: Kubernetes %s, %d nodes, %d clients; kubeconfig %s", binaries.KubernetesVersion, o.Nodes, o.Clients, kubeconfigFile())
	return c, nil
}

// Open gives the cluster that is up, or ErrNotRunning.
func Open() (*Cluster, error) {
	s, err := readState()
	if err != nil {
		return nil, err
	}
	if !s.Complete {
		return nil, fmt.Errorf("%w: its start did not end well", ErrNotRunning)
	}
	if s.abandoned() {
		return nil, fmt.Errorf("%w: process %d left it behind; the next 'up' or 'down' removes it", ErrNotRunning, s.Owner.PID)
	}
	return newCluster(s, newProgress(nil)), nil
}

func newCluster(s state, p *progress) *Cluster {
	return &Cluster{state: s, hosts: topology(s.Nodes, s.Clients, s.LANs), report: p}
}

// start brings a cluster up from nothing.
func (c *Cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	if err := createSwitch(ctx); err != nil {
		return err
	}
	for _, h := range c.hosts {
		if err := createHost(ctx, h, c.hosts); err != nil {
			return err
		}
	}
	if err := wire(ctx, c.hosts, c.state.Fabric); err != nil {
		return err
	}
	c.report.step("network: LAN %s %s, management %s %s", LAN4, LAN6, Management4, Management6)
	if err := writePKI(c.hosts); err != nil {
		return err
	}
	if err := writeAuditPolicy(); err != nil {
		return err
	}
	if err := startMachine(controlPlaneSpec(c.hosts[0], c.state.Binaries), c.state.Binaries); err != nil {
		return err
	}
	images, err := c.ownImages()
	if err != nil {
		return err
	}
	if err := waitAPI(ctx); err != nil {
		return err
	}
	c.report.step("control plane is ready")
	api, err := newAPI()
	if err != nil {
		return err
	}
	if err := registerNodes(ctx, api, c.hosts); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, h := range c.nodes() {
		if err := writeNodeConfig(h, c.state.Binaries); err != nil {
			return err
		}
		if err := startMachine(nodeSpec(h, c.state.Binaries), c.state.Binaries); err != nil {
			return err
		}
		group.Go(func() error { return c.importImages(groupCtx, h, images) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.waitReady(ctx, api)
}

// waitReady returns when all nodes are Ready and pods can be made in the default namespace.
func (c *Cluster) waitReady(ctx context.Context, a *api) error {
	var names []string
	for _, h := range c.nodes() {
		names = append(names, h.Name)
	}
	if err := waitNodes(ctx, a, c.report, names); err != nil {
		return err
	}
	return poll(ctx, func() error {
		_, err := a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
		return err
	})
}

// mend starts the machines of a cluster that do not run.
func (c *Cluster) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	for _, h := range c.hosts {
		if !namespaceExists(h.Namespace) {
			if err := c.createHost(ctx, h); err != nil {
				return err
			}
		}
		if h.Role != RoleNode && h.Role != RoleControlPlane {
			continue
		}
		alive, err := machine.Alive(hostDir(h.Name))
		if err != nil {
			return err
		}
		if alive {
			continue
		}
		c.report.step("%s does not run; starting it", h.Name)
		if err := c.boot(ctx, h); err != nil {
			return err
		}
	}
	if err := waitAPI(ctx); err != nil {
		return err
	}
	api, err := newAPI()
	if err != nil {
		return err
	}
	if err := c.waitReady(ctx, api); err != nil {
		return err
	}
	c.report.step("up already; kubeconfig %s", kubeconfigFile())
	return nil
}

// Hosts lists all hosts: the control plane, the nodes, the gateway, the clients. Their State is not filled in.
func (c *Cluster) Hosts() []Host { return slices.Clone(c.hosts) }

// Host gives the host of that name.
func (c *Cluster) Host(name string) (Host, error) {
	var names []string
	for _, h := range c.hosts {
		if h.Name == name {
			return h, nil
		}
		names = append(names, h.Name)
	}
	return Host{}, fmt.Errorf("no host %q: there are %v", name, names)
}

// HostByMAC gives the host whose link to a LAN has that address (as net.HardwareAddr prints it), if there is one.
func (c *Cluster) HostByMAC(mac string) (Host, bool) {
	i := slices.IndexFunc(c.hosts, func(h Host) bool {
		return mac != "" && (h.MAC == mac || h.Second != nil && h.Second.MAC == mac)
	})
	if i < 0 {
		return Host{}, false
	}
	return c.hosts[i], true
}

func (c *Cluster) nodes() []Host {
	return slices.DeleteFunc(slices.Clone(c.hosts), func(h Host) bool { return h.Role != RoleNode })
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return kubeconfigFile() }

// Binaries says where the cluster's programs are.
func (c *Cluster) Binaries() Binaries { return c.state.Binaries }

// WithProgress gives the same cluster, which tells out of its steps.
func (c *Cluster) WithProgress(out io.Writer) *Cluster {
	return &Cluster{state: c.state, hosts: c.hosts, report: newProgress(out)}
}
