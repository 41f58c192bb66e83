// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Separate drops at the switch every frame between two hosts of the LAN, in both directions; both still reach all
// others. Rejoin undoes it. Each may be repeated.
func (c *Cluster) Separate(ctx context.Context, one, other string) error {
	return c.between(ctx, one, other, func(a, b Host) error {
		return install(ctx, pairTable(a, b), separateRules(a.lanPort(), b.lanPort()))
	})
}

// Rejoin lets frames between two hosts through again.
func (c *Cluster) Rejoin(ctx context.Context, one, other string) error {
	return c.between(ctx, one, other, func(a, b Host) error { return uninstall(ctx, pairTable(a, b)) })
}

func (c *Cluster) between(ctx context.Context, one, other string, f func(a, b Host) error) error {
	a, errA := c.Host(one)
	b, errB := c.Host(other)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if a.Interface == "" || b.Interface == "" || a.Name == b.Name {
		return fmt.Errorf("%s and %s: want two hosts of the LAN", one, other)
	}
	unlock, err := lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return f(a, b)
}

func pairTable(a, b Host) string {
	if a.Name > b.Name {
		a, b = b, a
	}
	return "pair_" + a.Name + "_" + b.Name
}

func separateRules(a, b string) string {
	return fmt.Sprintf(`chain c { type filter hook forward priority 0;
	iifname %[1]q oifname %[2]q drop
	iifname %[2]q oifname %[1]q drop
}`, a, b)
}

// portRules are the rules of nftables, in the bridge family, that make up a fault of one port: MuteLAN, DeafLAN
// or NoBroadcast. What the port sends is
// dropped before the bridge sees it, so a capture does not see it either.
func portRules(port string, f Fault) string {
	const group = "ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00"
	from := func(match string) string {
		return fmt.Sprintf("chain from { type filter hook prerouting priority -300; iifname %q %s drop; }\n", port, match)
	}
	to := func(match string) string {
		return fmt.Sprintf("chain to { type filter hook postrouting priority 300; oifname %q %s drop; }\n", port, match)
	}
	if f == MuteLAN {
		return from("")
	}
	if f == DeafLAN {
		return to("")
	}
	return from(group) + to(group)
}

func filterPort(ctx context.Context, port string, f Fault) error {
	return install(ctx, portTable(port, f), portRules(port, f))
}

func healPort(ctx context.Context, port string) error {
	return uninstall(ctx, portTable(port, MuteLAN), portTable(port, DeafLAN), portTable(port, NoBroadcast))
}

func portTable(port string, f Fault) string {
	return strings.ReplaceAll(fmt.Sprintf("port_%s_%s", port, f), "-", "_")
}

// install puts a table of the bridge family into the switch, in the place of the one of that name.
func install(ctx context.Context, table, chains string) error {
	return nft(ctx, SwitchNamespace, replaced(table)+fmt.Sprintf("table bridge %s {\n%s\n}\n", table, chains))
}

func uninstall(ctx context.Context, tables ...string) error {
	var rules strings.Builder
	for _, t := range tables {
		rules.WriteString(replaced(t))
	}
	return nft(ctx, SwitchNamespace, rules.String())
}

// replaced deletes a table, whether it is there or not.
func replaced(table string) string {
	return fmt.Sprintf("table bridge %[1]s\ndelete table bridge %[1]s\n", table)
}
