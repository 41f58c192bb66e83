// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns"

func namespacePath(namespace string) string { return filepath.Join(netnsDir, namespace) }

func namespaceExists(namespace string) bool {
	_, err := os.Stat(namespacePath(namespace))
	return err == nil
}

// ourNamespaces lists the cluster's network namespaces, found by name, whatever was recorded of them.
func ourNamespaces() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), namespacePrefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// createNamespace makes a network namespace and gives it kernel settings before any interface is there to miss them.
// A namespace of that name that is there already is kept.
func createNamespace(ctx context.Context, namespace string, sysctls []sysctl) error {
	if !namespaceExists(namespace) {
		if _, err := run(ctx, "ip", "netns", "add", namespace); err != nil {
			return err
		}
	}
	return inNamespace(namespace, func() error {
		for _, s := range sysctls {
			file := filepath.Join("/proc/sys", s.key)
			err := os.WriteFile(file, []byte(s.value), 0o644)
			if s.optional && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("setting %s to %s in namespace %s: %w", s.key, s.value, namespace, err)
			}
		}
		return nil
	})
}

// deleteNamespace removes a network namespace, and with it its interfaces. One that is not there is no error.
func deleteNamespace(ctx context.Context, namespace string) error {
	if !namespaceExists(namespace) {
		return nil
	}
	_, err := run(ctx, "ip", "netns", "delete", namespace)
	return err
}

// InNamespace calls f on a thread that stands in the host's network namespace. Sockets that f opens stay there, also
// when used later and elsewhere; goroutines that f starts do not.
func InNamespace(host Host, f func() error) error { return inNamespace(host.Namespace, f) }

// InSwitch calls f as [InNamespace] does, in the namespace of the bridges.
func InSwitch(f func() error) error { return inNamespace(SwitchNamespace, f) }

func inNamespace(namespace string, f func() error) error {
	ns, err := os.Open(namespacePath(namespace))
	if err != nil {
		return fmt.Errorf("entering network namespace %s: %w", namespace, err)
	}
	defer ns.Close()
	result := make(chan error, 1)
	go func() { result <- onThreadIn(ns, f) }()
	return <-result
}

// onThreadIn calls f with this goroutine's thread in a network namespace, and brings the thread back. A thread that
// cannot be brought back stays locked and ends with the goroutine, so that nothing else ever runs on it.
func onThreadIn(ns *os.File, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering network namespace %s: %w", ns.Name(), err)
	}
	result := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return errors.Join(result, fmt.Errorf("leaving network namespace %s: %w", ns.Name(), err))
	}
	runtime.UnlockOSThread()
	return result
}

// sysctl is a kernel setting of a namespace, key as a path below /proc/sys. One that is optional may not exist.
type sysctl struct {
	key, value string
	optional   bool
}

// hostSysctls are the settings of a host on the LAN. Addresses are never checked for duplicates, which would delay
// them by seconds.
func hostSysctls(role Role) []sysctl {
	settings := []sysctl{
		{key: "net/ipv6/conf/all/accept_dad", value: "0"},
		{key: "net/ipv6/conf/default/accept_dad", value: "0"},
		{key: "net/ipv6/conf/default/dad_transmits", value: "0"},
		{key: "net/ipv6/conf/all/accept_ra", value: "0"},
		{key: "net/ipv6/conf/default/accept_ra", value: "0"},
		{key: "net/ipv4/conf/all/rp_filter", value: "0"},
		{key: "net/ipv4/conf/default/rp_filter", value: "0"},
		{key: "net/ipv4/conf/all/send_redirects", value: "0"},
		{key: "net/ipv4/conf/default/send_redirects", value: "0"},
	}
	if role == RoleNode || role == RoleGateway {
		settings = append([]sysctl{
			{key: "net/ipv4/ip_forward", value: "1"},
			{key: "net/ipv6/conf/all/forwarding", value: "1"},
			{key: "net/ipv6/conf/default/forwarding", value: "1"},
		}, settings...)
	}
	if role == RoleNode {
		// Pods behind one bridge reach each other through Services only when bridged frames pass the node's NAT.
		settings = append(settings,
			sysctl{key: "net/bridge/bridge-nf-call-iptables", value: "1", optional: true},
			sysctl{key: "net/bridge/bridge-nf-call-ip6tables", value: "1", optional: true})
	}
	return settings
}

// switchSysctls make the switch's namespace a pure switch: it has no addresses and looks into no frame.
func switchSysctls() []sysctl {
	return []sysctl{
		{key: "net/ipv6/conf/all/disable_ipv6", value: "1"},
		{key: "net/ipv6/conf/default/disable_ipv6", value: "1"},
		{key: "net/bridge/bridge-nf-call-iptables", value: "0", optional: true},
		{key: "net/bridge/bridge-nf-call-ip6tables", value: "0", optional: true},
		{key: "net/bridge/bridge-nf-call-arptables", value: "0", optional: true},
	}
}
