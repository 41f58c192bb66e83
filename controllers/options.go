// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"net"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/arpeggio-lb/arpeggio/controllers/agents"
)

// Options are what Run needs to know.
type Options struct {
	// Config of the connection to the API server. Without limits of its own (QPS 0) the
	// manager sets none: the API server shares itself out (API Priority and Fairness).
	Config *rest.Config
	// Namespace of the installation: Leases and the agents' DaemonSet are there.
	Namespace string
	// AgentImage is the image of the agents; empty: no DaemonSet is installed, and one that
	// is there is left alone.
	AgentImage string
	// OnlyNamedClass leaves Services without a loadBalancerClass to others; those of the
	// class arpeggio.dev/vip are ours in any case.
	OnlyNamedClass bool
	// LeaderElection lets several replicas wait for each other, by the Lease "manager".
	LeaderElection bool
	// HealthAddress serves /healthz and /readyz; "0" or empty: nothing.
	HealthAddress string
	// MetricsAddress serves the metrics, as yet without authentication; "0" or empty:
	// nothing.
	MetricsAddress string
	// AgentMetricsAddress is where each agent of the DaemonSet serves its metrics on its node,
	// without authentication; "0" or empty: none does.
	AgentMetricsAddress string
	// Log of the manager; the zero value is silent.
	Log logr.Logger
}

// Validate says what is wrong with the options, each with what to write instead.
func (o *Options) Validate() error {
	var errs []error
	if o.Config == nil {
		errs = append(errs, errors.New("no connection to an API server: give a kubeconfig, or run in a cluster"))
	}
	if problems := validation.IsDNS1123Label(o.Namespace); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("namespace %q: give the namespace of the installation, arpeggio-system say: %s", o.Namespace, problems[0]))
	}
	for _, a := range []struct{ what, address string }{{"health", o.HealthAddress}, {"metrics", o.MetricsAddress}} {
		if a.address == "" || a.address == "0" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.address); err != nil {
			errs = append(errs, fmt.Errorf("%s address %q: write host:port, :port, or 0 for none: %w", a.what, a.address, err))
		}
	}
	if _, err := agents.MetricsPort(o.AgentMetricsAddress); err != nil {
		errs = append(errs, fmt.Errorf("--agent-metrics-bind-address %w", err))
	}
	return errors.Join(errs...)
}
