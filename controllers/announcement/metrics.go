// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// blind is 1 while the manager does not believe what it sees and writes no announcements.
var blind = prometheus.NewGauge(prometheus.GaugeOpts{
	Name: "arpeggio_manager_blind",
	Help: "1 while more than half of the nodes or announcements have changed for the worse at once, and the manager therefore writes no announcements.",
})

// register adds the metrics of the announcements; several managers in one process share
// them.
func register() error {
	err := metrics.Registry.Register(blind)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}
