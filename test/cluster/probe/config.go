// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Kind is how to ask.
type Kind string

const (
	// UDP sends a datagram from a new source port each time, so that no connection tracking remembers the last one;
	// any datagram from the target is an answer.
	UDP Kind = "udp"
	// HTTP makes a new TCP connection each time; status 200 is an answer.
	HTTP Kind = "http"
	// ARP asks who has the target (IPv4). It says nothing of services, and everything of who speaks for the address.
	ARP Kind = "arp"
	// NDP asks the same by Neighbor Solicitation (IPv6).
	NDP Kind = "ndp"
	// Stream keeps TCP connections open and sends one request after the other on each; one that ends is made anew, and
	// counted.
	Stream Kind = "stream"
	// Sweep asks who has each of many addresses, of both families, and listens to no answer: a capture hears them.
	Sweep Kind = "sweep"
)

// Config is what to ask, and how often.
type Config struct {
	Kind Kind `json:"kind"`
	// Target is the address to ask; ARP and NDP ignore the port.
	Target netip.AddrPort `json:"target"`
	// Targets are what Sweep asks for, in the place of Target.
	Targets []netip.Addr `json:"targets,omitempty"`
	// Connections is how many Stream keeps open, 1 by default.
	Connections int `json:"connections,omitempty"`
	// Interval is the time between requests, 10 ms by default; of Stream, on each connection; of Sweep, for each target.
	Interval time.Duration `json:"interval"`
	// Timeout is when a request counts as lost, 1 s by default.
	Timeout time.Duration `json:"timeout"`
	// Interface is where ARP, NDP and Sweep ask, eth0 by default. They ask with its first address of the target's family.
	Interface string `json:"interface"`
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = 10 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Connections == 0 {
		c.Connections = 1
	}
	if c.Interface == "" {
		c.Interface = "eth0"
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Interval < 0 || c.Timeout < 0 {
		return errors.New("interval and timeout must not be negative")
	}
	if c.Connections < 0 {
		return errors.New("the number of connections must not be negative")
	}
	if c.Kind == Sweep {
		if len(c.Targets) == 0 {
			return errors.New("no targets")
		}
		return nil
	}
	if !c.Target.Addr().IsValid() {
		return errors.New("no target")
	}
	switch c.Kind {
	case UDP, HTTP, Stream:
		if c.Target.Port() == 0 {
			return fmt.Errorf("%s needs a port", c.Kind)
		}
	case ARP:
		if !c.Target.Addr().Is4() {
			return fmt.Errorf("ARP asks for IPv4 addresses, not %s", c.Target.Addr())
		}
	case NDP:
		if !c.Target.Addr().Is6() {
			return fmt.Errorf("NDP asks for IPv6 addresses, not %s", c.Target.Addr())
		}
	default:
		return fmt.Errorf("unknown kind %q", c.Kind)
	}
	return nil
}
