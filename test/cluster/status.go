// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

// Status is what is to know of a cluster that is up.
type Status struct {
	Kubernetes string `json:"kubernetes"`
	Kubeconfig string `json:"kubeconfig"`
	StateDir   string `json:"stateDir"`
	Hosts      []Host `json:"hosts"`
}

// Status looks at every host.
func (c *Cluster) Status() (Status, error) {
	s := Status{Kubernetes: c.state.Binaries.KubernetesVersion, Kubeconfig: kubeconfigFile(), StateDir: StateDir}
	for _, h := range c.hosts {
		h.State = Running
		if h.Role == RoleNode || h.Role == RoleControlPlane {
			alive, err := machine.Alive(hostDir(h.Name))
			if err != nil {
				return Status{}, err
			}
			if !alive {
				h.State = Crashed
			}
		}
		s.Hosts = append(s.Hosts, h)
	}
	return s, nil
}
