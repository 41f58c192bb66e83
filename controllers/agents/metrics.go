// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// What scrapers that look for pods go by. It is a convention, of Prometheus' own example
// configuration for Kubernetes among others.
const (
	annotationScrape = "prometheus.io/scrape"
	annotationPort   = "prometheus.io/port"
)

// MetricsPort reads the address on which all agents serve their metrics, and gives its port; 0
// for none. Every node binds the same address: one that a single node has would end the agents
// of all others.
func MetricsPort(address string) (uint16, error) {
	if address == "" || address == "0" {
		return 0, nil
	}
	a, err := netip.ParseAddrPort(address)
	var wrong string
	switch {
	case err != nil:
		wrong = "it is no address and port"
	case a.Port() == 0:
		wrong = "port 0 is another one each time"
	case !a.Addr().IsUnspecified() && !a.Addr().IsLoopback():
		wrong = "one node at most has this address, and the agents of the others would not start"
	default:
		return a.Port(), nil
	}
	return 0, fmt.Errorf("%q: %w: write 0.0.0.0:9810 ([::]:9810 where nodes have IPv6), 127.0.0.1:9810 for scrapers on the node itself, or nothing for none", address, errors.New(wrong))
}

// serveMetrics has the agents serve their metrics. The port is told by annotations and not
// among the container's ports: in the host's network each of those is a port of the host, which
// the scheduler gives to one pod, and the new agent of an upgrade would wait for the old one to
// end. The agents themselves share the address.
func serveMetrics(pod *corev1.PodTemplateSpec, address string) error {
	port, err := MetricsPort(address)
	if err != nil {
		return fmt.Errorf("the agents' metrics: %w", err)
	}
	if port == 0 {
		return nil
	}
	c := &pod.Spec.Containers[0]
	c.Args = append(c.Args, "--metrics-bind-address="+address)
	pod.Annotations = map[string]string{annotationScrape: "true", annotationPort: strconv.Itoa(int(port))}
	return nil
}
