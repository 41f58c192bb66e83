// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"net"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// Time-outs of one request. A heartbeat that takes longer is as good as lost; a write of a
// Lease may be slow without harm, because its result is weighed by its age.
const (
	beatTimeout  = time.Second
	writeTimeout = 3 * time.Second
)

// Clients are the API clients of an agent, each with its own connection. client-go shares
// one connection among all configurations that are equal; a dialer of its own makes one
// different.
type Clients struct {
	// Beat writes the own heartbeat, over HTTP/1.1: a time-out then closes the connection,
	// and the next request opens another.
	Beat client.Client
	// Write reads and writes Leases.
	Write client.Client
	// Watch lists and watches.
	Watch client.WithWatch
	// Status writes what users see.
	Status client.Client
}

// NewClients makes the clients; it connects to nothing.
func NewClients(cfg *rest.Config) (Clients, error) {
	scheme := runtime.NewScheme()
	if err := coordinationv1.AddToScheme(scheme); err != nil {
		return Clients{}, fmt.Errorf("registering Leases: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return Clients{}, fmt.Errorf("registering VIPAnnouncements: %w", err)
	}
	mapper := newMapper()
	make := func(cfg *rest.Config) (client.WithWatch, error) {
		return client.NewWithWatch(cfg, client.Options{Scheme: scheme, Mapper: mapper})
	}
	var c Clients
	beat := separate(cfg, beatTimeout)
	beat.NextProtos = []string{"http/1.1"}
	for _, part := range []struct {
		name string
		cfg  *rest.Config
		put  func(client.WithWatch)
	}{
		{"heartbeats", beat, func(w client.WithWatch) { c.Beat = w }},
		{"Leases", separate(cfg, writeTimeout), func(w client.WithWatch) { c.Write = w }},
		{"watches", separate(cfg, 0), func(w client.WithWatch) { c.Watch = w }},
		{"status", separate(cfg, writeTimeout), func(w client.WithWatch) { c.Status = w }},
	} {
		made, err := make(part.cfg)
		if err != nil {
			return Clients{}, fmt.Errorf("making the client for %s: %w", part.name, err)
		}
		part.put(made)
	}
	return c, nil
}

// separate copies a configuration so that its connection is shared with no other. There is
// no rate limit on this side: the server's priority and fairness is the one that counts.
func separate(cfg *rest.Config, timeout time.Duration) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.QPS, out.RateLimiter = -1, nil
	out.Timeout = timeout
	out.Dial = (&net.Dialer{Timeout: time.Second, KeepAlive: 5 * time.Second}).DialContext
	return out
}
