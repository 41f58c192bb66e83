// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

// Fault is something done to a host. Those that come in pairs undo each other; each may be repeated.
type Fault string

// Faults of a node. Those of the LAN, Crash and Restore are a client's too.
const (
	// Crash cuts all links, then kills everything that runs on the node.
	Crash Fault = "crash"
	// Restore starts a crashed node as a reboot would: with its disk, but without its network state, its /run or
	// anything that was running. The links are whole again.
	Restore Fault = "restore"
	// KillAgent sends SIGKILL to every "arpeggio agent" in the node's network namespace; PauseAgent stops them in
	// their tracks (SIGSTOP), ResumeAgent lets them go on.
	KillAgent   Fault = "kill-agent"
	PauseAgent  Fault = "pause-agent"
	ResumeAgent Fault = "resume-agent"
	// CutAPI takes the carrier of the management link: no API server, no pods of other nodes.
	CutAPI  Fault = "cut-api"
	HealAPI Fault = "heal-api"
	// CutLAN lets no frame through the switch's port, in either direction, without the node seeing its link go down.
	CutLAN Fault = "cut-lan"
	// MuteLAN drops at the switch's port all that the node sends, DeafLAN all that is sent to it, and NoBroadcast what
	// goes to more than one card (broadcasts, multicasts), in both directions. They may be combined.
	MuteLAN     Fault = "mute-lan"
	DeafLAN     Fault = "deaf-lan"
	NoBroadcast Fault = "no-broadcast"
	// HealLAN undoes CutLAN, MuteLAN, DeafLAN and NoBroadcast.
	HealLAN Fault = "heal-lan"
	// LinkDown takes the carrier of the LAN link.
	LinkDown Fault = "link-down"
	LinkUp   Fault = "link-up"
)

// Faults of the control plane.
const (
	// Stop kills etcd and all of the control plane; Start starts them with the same data.
	Stop  Fault = "stop"
	Start Fault = "start"
	// Blackhole drops every packet to and from the API server, so that connections hang. The controller manager and
	// the scheduler, which stand beside it, go on.
	Blackhole Fault = "blackhole"
	Heal      Fault = "heal"
	// Freeze stops etcd and the API server in their tracks (SIGSTOP), Thaw lets them go on.
	Freeze Fault = "freeze"
	Thaw   Fault = "thaw"
)

// NodeFaults lists what [Cluster.Fault] takes for a node.
func NodeFaults() []Fault {
	return append([]Fault{KillAgent, PauseAgent, ResumeAgent, CutAPI, HealAPI}, ClientFaults()...)
}

// ClientFaults lists what [Cluster.Fault] takes for a client. Whoever starts a program on one starts it again after
// Restore.
func ClientFaults() []Fault {
	return []Fault{Crash, Restore, CutLAN, MuteLAN, DeafLAN, NoBroadcast, HealLAN, LinkDown, LinkUp}
}

// ControlPlaneFaults lists what [Cluster.Fault] takes for the control plane.
func ControlPlaneFaults() []Fault { return []Fault{Stop, Start, Blackhole, Heal, Freeze, Thaw} }

const (
	faultTable   = "arpeggio_lab_fault"
	faultTimeout = time.Minute
	// Port states of bridge(8).
	portDisabled, portForwarding = "0", "3"
)

// Fault does something to the named host and returns when it is done; after Start, when the API server is ready; after
// Restore, when the node's programs are started, but not yet ready.
func (c *Cluster) Fault(ctx context.Context, host string, f Fault) error {
	return c.FaultOn(ctx, host, 1, f)
}

// FaultOn is Fault where what is done to a host's LAN is done to its link to the first (1) or the second (2).
func (c *Cluster) FaultOn(ctx context.Context, host string, lan int, f Fault) error {
	h, err := c.Host(host)
	if err != nil {
		return err
	}
	port := h.lanPort()
	if lan == 2 {
		port = h.secondPort()
	}
	if lan != 1 && (lan != 2 || h.Second == nil) {
		return fmt.Errorf("%s is not on a LAN %d", host, lan)
	}
	known := NodeFaults()
	switch h.Role {
	case RoleNode:
	case RoleClient:
		known = ClientFaults()
	case RoleControlPlane:
		known = ControlPlaneFaults()
	default:
		return fmt.Errorf("%s is a %s: faults are for nodes, clients and %s", host, h.Role, ControlPlane)
	}
	if !slices.Contains(known, f) {
		return fmt.Errorf("unknown fault %q of %s: want one of %s", f, host, join(known))
	}
	ctx, cancel := context.WithTimeout(ctx, faultTimeout)
	defer cancel()
	unlock, err := lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.inject(ctx, h, port, f); err != nil {
		return fmt.Errorf("fault %s of %s: %w", f, host, err)
	}
	c.report.step("%s: %s", host, f)
	return nil
}

func (c *Cluster) inject(ctx context.Context, h Host, port string, f Fault) error {
	switch f {
	case Crash:
		return c.crash(ctx, h)
	case Restore, Start:
		alive, err := machine.Alive(hostDir(h.Name))
		if err != nil {
			return err
		}
		if !alive {
			err = c.boot(ctx, h)
		}
		if err == nil && f == Start {
			err = waitAPI(ctx)
		}
		return err
	case KillAgent:
		err := signalAgent(h, syscall.SIGKILL)
		return err
	case PauseAgent:
		err := signalAgent(h, syscall.SIGSTOP)
		return err
	case ResumeAgent:
		err := signalAgent(h, syscall.SIGCONT)
		return err
	case CutAPI:
		return setPort(ctx, h.managementPort(), "down")
	case HealAPI:
		return setPort(ctx, h.managementPort(), "up")
	case CutLAN:
		return setPortState(ctx, port, portDisabled)
	case MuteLAN, DeafLAN, NoBroadcast:
		return filterPort(ctx, port, f)
	case HealLAN:
		return errors.Join(setPortState(ctx, port, portForwarding), healPort(ctx, port))
	case LinkDown:
		return setPort(ctx, port, "down")
	case LinkUp:
		return setPort(ctx, port, "up")
	case Stop:
		return machine.Kill(ctx, hostDir(h.Name))
	case Blackhole:
		return blackhole(ctx, h)
	case Heal:
		return healBlackhole(ctx, h)
	case Freeze:
		return signalPrograms(h, syscall.SIGSTOP, "etcd", "kube-apiserver")
	case Thaw:
		return signalPrograms(h, syscall.SIGCONT, "etcd", "kube-apiserver")
	}
	return fmt.Errorf("not a fault: %q", f)
}

// crash cuts first: a node that dies must not say goodbye.
func (c *Cluster) crash(ctx context.Context, h Host) error {
	// The management port first: taking a port down takes a while, and a node without power does not hand over.
	var cut []string
	if h.ManagementInterface != "" {
		cut = append(cut, "link set "+h.managementPort()+" down")
	}
	cut = append(cut, "link set "+h.lanPort()+" down")
	if h.Second != nil {
		cut = append(cut, "link set "+h.secondPort()+" down")
	}
	if err := ipBatch(ctx, SwitchNamespace, cut...); err != nil {
		return err
	}
	if err := machine.Kill(ctx, hostDir(h.Name)); err != nil {
		return err
	}
	return killIn(ctx, h.Namespace) // what was started there by hand
}

// boot starts a host's machine, if it has one. The network namespace of a node or client is made anew, and a node's
// control groups are cleared.
func (c *Cluster) boot(ctx context.Context, h Host) error {
	if err := removeCgroups(cgroup(h)); err != nil {
		return err
	}
	if h.Role == RoleNode || h.Role == RoleClient {
		if err := killIn(ctx, h.Namespace); err != nil {
			return err
		}
		if err := c.createHost(ctx, h); err != nil {
			return err
		}
	}
	if h.Role == RoleClient {
		return nil
	}
	if h.Role == RoleNode {
		return startMachine(nodeSpec(h, c.state.Binaries), c.state.Binaries)
	}
	return startMachine(controlPlaneSpec(h, c.state.Binaries), c.state.Binaries)
}

func setPort(ctx context.Context, port, state string) error {
	return ipBatch(ctx, SwitchNamespace, "link set "+port+" "+state)
}

func setPortState(ctx context.Context, port, state string) error {
	_, err := run(ctx, "bridge", "-n", SwitchNamespace, "link", "set", "dev", port, "state", state)
	return err
}

// blackhole drops on the outer interface only: the control plane's own parts talk over lo.
func blackhole(ctx context.Context, h Host) error {
	if err := healBlackhole(ctx, h); err != nil {
		return err
	}
	rules := fmt.Sprintf(`table inet %s {
	chain in { type filter hook input priority -300; iifname "%s" tcp dport %d drop; }
	chain out { type filter hook output priority -300; oifname "%s" tcp sport %d drop; }
}
`, faultTable, ManagementInterface, apiPort, ManagementInterface, apiPort)
	return nft(ctx, h.Namespace, rules)
}

func healBlackhole(ctx context.Context, h Host) error {
	// Declared first, so that it can be deleted whether it was there or not.
	return nft(ctx, h.Namespace, fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", faultTable))
}

func nft(ctx context.Context, namespace, rules string) error {
	_, err := runInput(ctx, strings.NewReader(rules), "nsenter", "--net="+namespacePath(namespace), "--", findProgram("nft"), "-f", "-")
	return err
}

func join(faults []Fault) string {
	var names []string
	for _, f := range faults {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}
