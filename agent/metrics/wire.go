// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// Wire collects what the ports have counted, by interface. Its methods may be called from any
// goroutine.
type Wire struct {
	mu    sync.Mutex // guards what follows
	open  map[string]func() wire.Counters
	ended map[string]totals // what the ports that were closed had counted
}

// totals are what the ports of one interface have counted, one after the other.
type totals struct {
	figures map[string]uint64
	drops   map[string]uint64
	groups  uint64 // of the port that is open
}

func (t totals) plus(c wire.Counters) totals {
	sum := totals{figures: maps.Clone(t.figures), drops: maps.Clone(t.drops), groups: c.Groups}
	if sum.figures == nil {
		sum.figures, sum.drops = map[string]uint64{}, map[string]uint64{}
	}
	for _, f := range figures {
		sum.figures[f.name] += f.of(c)
	}
	for reason, n := range c.Dropped() {
		sum.drops[reason] += n
	}
	return sum
}

// NewWire makes a collector without ports.
func NewWire() *Wire {
	return &Wire{open: map[string]func() wire.Counters{}, ended: map[string]totals{}}
}

// Open adds the port of an interface. An earlier one of the same interface is closed.
func (w *Wire) Open(name string, counters func() wire.Counters) {
	w.Close(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[name] = counters
}

// Close takes the port of an interface out. What it had counted stays.
func (w *Wire) Close(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if read := w.open[name]; read != nil {
		sum := w.ended[name].plus(read())
		sum.groups = 0
		w.ended[name] = sum
		delete(w.open, name)
	}
}

// read gives what was counted on each interface.
func (w *Wire) read() map[string]totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.ended)
	for name, read := range w.open {
		all[name] = all[name].plus(read())
	}
	return all
}

// figure is one counter of a port.
type figure struct {
	name string
	desc *prometheus.Desc
	of   func(wire.Counters) uint64
}

func counter(name, help string, of func(wire.Counters) uint64) figure {
	return figure{name, prometheus.NewDesc("arpeggio_agent_"+name+"_total", help, []string{"interface"}, nil), of}
}

var figures = []figure{
	counter("frames", "Frames that passed the filter in the kernel.", func(c wire.Counters) uint64 { return c.Frames }),
	counter("requests", "ARP requests and neighbor solicitations for an address of this node's table, answered or not.", func(c wire.Counters) uint64 { return c.Requests }),
	counter("replies", "Replies and solicited advertisements sent.", func(c wire.Counters) uint64 { return c.Replies }),
	counter("echo_requests", "ICMP and ICMPv6 echo requests for addresses that answer them.", func(c wire.Counters) uint64 { return c.Echoes }),
	counter("echo_replies", "ICMP and ICMPv6 echo replies sent.", func(c wire.Counters) uint64 { return c.EchoReplies }),
	counter("announcements", "Frames sent unasked that announce an address.", func(c wire.Counters) uint64 { return c.Claims }),
	counter("sent", "Frames sent unasked, announcements and questions alike.", func(c wire.Counters) uint64 { return c.Sent }),
	counter("send_errors", "Frames that the kernel did not take.", func(c wire.Counters) uint64 { return c.SendErrors }),
	counter("heard", "What others said about addresses of the table, passed on to the elections.", func(c wire.Counters) uint64 { return c.Heard }),
	counter("heard_lost", "The same, lost as there was more than could be looked at.", func(c wire.Counters) uint64 { return c.HeardLost }),
	counter("dials", "Attempts to open an interface's sockets: more than one means that they failed.", func(c wire.Counters) uint64 { return c.Dials }),
	counter("group_errors", "Multicast groups that could not be joined.", func(c wire.Counters) uint64 { return c.GroupErrors }),
}

var (
	drops = prometheus.NewDesc("arpeggio_agent_drops_total",
		"Frames that were not answered, by reason.", []string{"interface", "reason"}, nil)
	groups = prometheus.NewDesc("arpeggio_agent_multicast_groups",
		"Solicited-node multicast groups that are joined.", []string{"interface"}, nil)
)

// Describe implements prometheus.Collector.
func (w *Wire) Describe(to chan<- *prometheus.Desc) {
	for _, f := range figures {
		to <- f.desc
	}
	to <- drops
	to <- groups
}

// Collect implements prometheus.Collector.
func (w *Wire) Collect(to chan<- prometheus.Metric) {
	for name, t := range w.read() {
		for _, f := range figures {
			to <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(t.figures[f.name]), name)
		}
		for reason, n := range t.drops {
			to <- prometheus.MustNewConstMetric(drops, prometheus.CounterValue, float64(n), name, reason)
		}
		to <- prometheus.MustNewConstMetric(groups, prometheus.GaugeValue, float64(t.groups), name)
	}
}

// NewStrangers gives the counter of others that were found to use an address, by what they are.
func NewStrangers() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "arpeggio_agent_conflicts_total",
		Help: "Others that were found to use an address of a Service, by what they are.",
	}, []string{"reason"})
}
