// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Reading is what one port has counted: figures by their names, as listed in this package, and
// frames that were dropped by reason. Groups is a number of now, not a count.
type Reading struct {
	Figures map[string]uint64
	Drops   map[string]uint64
	Groups  uint64
}

func (r Reading) plus(o Reading) Reading {
	sum := Reading{Figures: map[string]uint64{}, Drops: map[string]uint64{}, Groups: o.Groups}
	for _, x := range []Reading{r, o} {
		for name, n := range x.Figures {
			sum.Figures[name] += n
		}
		for reason, n := range x.Drops {
			sum.Drops[reason] += n
		}
	}
	return sum
}

// Wire collects what the ports have counted, by interface. Its methods may be called from any
// goroutine.
type Wire struct {
	mu    sync.Mutex // guards what follows
	open  map[string]func() Reading
	ended map[string]Reading // what the ports that were closed had counted
}

// NewWire makes a collector without ports.
func NewWire() *Wire {
	return &Wire{open: map[string]func() Reading{}, ended: map[string]Reading{}}
}

// Open adds the port of an interface. An earlier one of the same interface is closed.
func (w *Wire) Open(name string, read func() Reading) {
	w.Close(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[name] = read
}

// Close takes the port of an interface out. What it had counted stays.
func (w *Wire) Close(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if read := w.open[name]; read != nil {
		sum := w.ended[name].plus(read())
		sum.Groups = 0
		w.ended[name] = sum
		delete(w.open, name)
	}
}

// read gives what was counted on each interface.
func (w *Wire) read() map[string]Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.ended)
	for name, read := range w.open {
		all[name] = all[name].plus(read())
	}
	return all
}

// The names of the figures.
const (
	Frames        = "frames"
	Requests      = "requests"
	Replies       = "replies"
	EchoRequests  = "echo_requests"
	EchoReplies   = "echo_replies"
	Announcements = "announcements"
	Sent          = "sent"
	SendErrors    = "send_errors"
	Heard         = "heard"
	HeardLost     = "heard_lost"
	Dials         = "dials"
	GroupErrors   = "group_errors"
	Queries       = "listener_queries"
	QueryDrops    = "listener_query_drops"
	Reports       = "listener_reports"
)

// figure is one counter of a port.
type figure struct {
	name string
	desc *prometheus.Desc
}

func counter(name, help string) figure {
	return figure{name, prometheus.NewDesc("arpeggio_agent_"+name+"_total", help, []string{"interface"}, nil)}
}

var figures = []figure{
	counter(Frames, "Frames that passed the filter in the kernel."),
	counter(Requests, "ARP requests and neighbor solicitations for an address of this node's table, answered or not."),
	counter(Replies, "Replies and solicited advertisements sent."),
	counter(EchoRequests, "ICMP and ICMPv6 echo requests for addresses that answer them."),
	counter(EchoReplies, "ICMP and ICMPv6 echo replies sent."),
	counter(Announcements, "Frames sent unasked that announce an address."),
	counter(Sent, "Frames sent unasked, announcements and questions alike."),
	counter(SendErrors, "Frames that the kernel did not take."),
	counter(Heard, "What others said about addresses of the table, passed on to the elections."),
	counter(HeardLost, "The same, lost as there was more than could be looked at."),
	counter(Dials, "Attempts to open an interface's sockets: more than one means that they failed."),
	counter(GroupErrors, "Multicast groups that could not be joined."),
	counter(Queries, "MLD queries that were answered for the groups of the addresses."),
	counter(QueryDrops, "MLD queries that were malformed, or too many at once."),
	counter(Reports, "MLD reports sent, so that snooping switches forward the groups."),
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
			to <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(t.Figures[f.name]), name)
		}
		for reason, n := range t.Drops {
			to <- prometheus.MustNewConstMetric(drops, prometheus.CounterValue, float64(n), name, reason)
		}
		to <- prometheus.MustNewConstMetric(groups, prometheus.GaugeValue, float64(t.Groups), name)
	}
}

// NewStrangers gives the counter of others that were found to use an address, by what they are.
func NewStrangers() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "arpeggio_agent_conflicts_total",
		Help: "Others that were found to use an address of a Service, by what they are.",
	}, []string{"reason"})
}
