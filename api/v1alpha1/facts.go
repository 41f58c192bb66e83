// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Facts are what a node's agent tells the others about its node, written only on change
// to the annotation AnnotationFacts of its facts Lease.
//
// +kubebuilder:object:generate=false
type Facts struct {
	// Version of the agent.
	Version string `json:"version"`
	// Interfaces that can carry a VIP: up, Ethernet, no ports of another one.
	Interfaces []InterfaceFacts `json:"interfaces"`
	// Refused are interfaces that cannot carry a VIP although somebody could name them, by
	// name; at most MaxRefused.
	Refused []RefusedInterface `json:"refused,omitempty"`
}

const (
	// MaxRefused is how many refused interfaces facts hold: every agent holds all facts.
	MaxRefused = 32
	// maxInterfaceName is the longest name of an interface, in octets (IFNAMSIZ of linux/if.h, with its
	// zero octet), and maxWhy the longest reason.
	maxInterfaceName = 15
	maxWhy           = 160
)

// RefusedInterface is one that cannot carry a VIP, and why not.
//
// +kubebuilder:object:generate=false
type RefusedInterface struct {
	// Name as "ip link" shows it.
	Name string `json:"name"`
	// Why goes on after the name: "is a port of bond0: name bond0 instead".
	Why string `json:"why"`
}

// String is "eth1 is a port of bond0: name bond0 instead".
func (r RefusedInterface) String() string { return r.Name + " " + r.Why }

// InterfaceFacts describe one interface.
//
// +kubebuilder:object:generate=false
type InterfaceFacts struct {
	// Name as "ip link" shows it.
	Name string `json:"name"`
	// MAC in lower-case colon form.
	MAC string `json:"mac"`
	// Prefixes are the addresses with their subnet lengths, "192.168.1.7/24",
	// link-local ones left out.
	Prefixes []string `json:"prefixes,omitempty"`
	// DefaultRoute4 and DefaultRoute6 are true where the default route leaves.
	DefaultRoute4 bool `json:"defaultRoute4,omitempty"`
	DefaultRoute6 bool `json:"defaultRoute6,omitempty"`
}

// Encode gives the facts as JSON.
func (f Facts) Encode() (string, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("encoding facts: %w", err)
	}
	return string(b), nil
}

// ParseFacts reads what Encode wrote; fields it does not know are left alone, so that
// agents of neighbouring versions understand each other. What is longer than an agent writes it
// is left out, as it goes into messages.
func ParseFacts(s string) (Facts, error) {
	var f Facts
	if err := json.Unmarshal([]byte(s), &f); err != nil {
		return Facts{}, fmt.Errorf("annotation %s: %w", AnnotationFacts, err)
	}
	f.Refused = slices.DeleteFunc(f.Refused, func(r RefusedInterface) bool { return len(r.Name) > maxInterfaceName || len(r.Why) > maxWhy })
	f.Refused = f.Refused[:min(len(f.Refused), MaxRefused)]
	return f, nil
}

// Choose gives the interfaces of the node on which an address is announced: those that
// one of the patterns names, or without patterns those with a subnet that holds the
// address, else the one of the address family's default route. None: the node cannot
// speak for the address. The manager ranks nodes by it and the agents bind by it, so both
// always agree.
func (f Facts) Choose(addr netip.Addr, patterns []InterfacePattern) []InterfaceFacts {
	var named, onSubnet, byRoute []InterfaceFacts
	for _, i := range f.Interfaces {
		if len(patterns) > 0 {
			if slices.ContainsFunc(patterns, func(p InterfacePattern) bool { return p.Matches(i.Name) }) {
				named = append(named, i)
			}
			continue
		}
		if slices.ContainsFunc(i.Prefixes, func(s string) bool {
			p, err := netip.ParsePrefix(s)
			return err == nil && p.Contains(addr)
		}) {
			onSubnet = append(onSubnet, i)
		}
		if (addr.Is4() && i.DefaultRoute4) || (addr.Is6() && i.DefaultRoute6) {
			byRoute = append(byRoute, i)
		}
	}
	switch {
	case len(patterns) > 0:
		return named
	case len(onSubnet) > 0:
		return onSubnet
	default:
		return byRoute
	}
}

// Named gives the refused interfaces that one of the patterns names.
func (f Facts) Named(patterns []InterfacePattern) []RefusedInterface {
	var named []RefusedInterface
	for _, r := range f.Refused {
		if slices.ContainsFunc(patterns, func(p InterfacePattern) bool { return p.Matches(r.Name) }) {
			named = append(named, r)
		}
	}
	return named
}

// Names lists the interfaces, for messages: "eth0, bond1", or "none".
func (f Facts) Names() string {
	if len(f.Interfaces) == 0 {
		return "none"
	}
	names := make([]string, 0, len(f.Interfaces))
	for _, i := range f.Interfaces {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// Matches tells whether the pattern names the interface.
func (p InterfacePattern) Matches(name string) bool {
	ok, err := path.Match(string(p), name)
	return err == nil && ok
}
