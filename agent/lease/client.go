// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
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

// How soon a connection is given up on which nothing comes back. On those
// that only listen, HTTP/2's pings have to find out, whose times client-go takes from the
// environment.
const (
	dialTimeout = time.Second
	userTimeout = 3 * time.Second // TCP_USER_TIMEOUT: what is sent is not acknowledged
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
	// Status writes what users see: statuses and Events.
	Status client.Client
}

// NewClients makes the clients; it connects to nothing.
func NewClients(cfg *rest.Config) (Clients, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{coordinationv1.AddToScheme, eventsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return Clients{}, fmt.Errorf("registering the kinds: %w", err)
		}
	}
	opts := client.Options{Scheme: scheme, Mapper: newMapper()}
	beat := separate(cfg, beatTimeout)
	beat.NextProtos = []string{"http/1.1"}
	var c Clients
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
		made, err := client.NewWithWatch(part.cfg, opts)
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
	out.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 5 * time.Second, Control: limitSilence}).DialContext
	return out
}

// limitSilence sets TCP_USER_TIMEOUT.
func limitSilence(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond))
	}); cerr != nil {
		return cerr
	}
	return err
}
