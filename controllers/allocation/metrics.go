// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// contested counts the addresses that other hosts were heard to use, by what was done.
var contested = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "arpeggio_manager_contested_addresses_total",
	Help: "Addresses that other hosts were heard to use and for which the manager did something: \"replaced\" by another address, or \"yielded\" for a minute and kept.",
}, []string{"outcome"})

// register adds the metrics of the allocation; several managers in one process share them.
func register() error {
	err := metrics.Registry.Register(contested)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}
