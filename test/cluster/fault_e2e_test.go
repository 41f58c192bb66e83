// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
	"github.com/arpeggio-lb/arpeggio/test/cluster/probe"
)

// links says what of a node's links works: a ping from the client, a request to the API server (by its ClusterIP, and so
// by the node's kube-proxy), and whether the node sees a carrier on the LAN.
type links struct{ lan, api, carrier bool }

func (l *life) links(node string) links {
	h, err := l.c.Host(node)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	carrier, _ := l.c.Command(ctx, node, "ip", "-o", "link", "show", h.Interface).Output()
	return links{
		lan:     l.c.Command(ctx, "client1", "ping", "-c1", "-W1", h.IPv4.String()).Run() == nil,
		api:     l.c.Command(ctx, node, "curl", "-ksfm2", "https://10.96.0.1/readyz").Run() == nil,
		carrier: strings.Contains(string(carrier), "LOWER_UP"),
	}
}

func (l *life) fault(t *testing.T, host string, f cluster.Fault) {
	t.Helper()
	if err := l.c.Fault(t.Context(), host, f); err != nil {
		t.Fatal(err)
	}
}

func (l *life) want(t *testing.T, node string, want links) {
	t.Helper()
	eventually(t, func() error {
		if got := l.links(node); got != want {
			return fmt.Errorf("links of %s: %+v, want %+v", node, got, want)
		}
		return nil
	})
}

var whole = links{lan: true, api: true, carrier: true}

func (l *life) cutLAN(t *testing.T) {
	l.fault(t, "node2", cluster.CutLAN)
	l.want(t, "node2", links{lan: false, api: true, carrier: true})
	l.fault(t, "node2", cluster.HealLAN)
	l.want(t, "node2", whole)
}

// filters: what one node may not send, hear, broadcast or say to another, and nothing more.
func (l *life) filters(t *testing.T) {
	asks := func(from, of string) bool { // by broadcast; the answer comes to one card
		h, err := l.c.Host(of)
		if err != nil {
			t.Fatal(err)
		}
		return l.c.Command(t.Context(), from, "arping", "-q", "-c1", "-w1", "-I", "eth0", h.IPv4.String()).Run() == nil
	}
	pings := func(from, to string) bool { // by unicast, to a neighbor that is known
		h, err := l.c.Host(to)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := l.c.Host(from)
		for _, n := range []struct {
			host string
			of   cluster.Host
		}{{from, h}, {to, f}} {
			l.exec(t, n.host, "ip", "neigh", "replace", n.of.IPv4.String(), "lladdr", n.of.MAC, "dev", "eth0", "nud", "permanent")
			defer l.exec(t, n.host, "ip", "neigh", "delete", n.of.IPv4.String(), "dev", "eth0")
		}
		return l.c.Command(t.Context(), from, "ping", "-c1", "-W1", h.IPv4.String()).Run() == nil
	}
	type saw struct{ asks, asked, pings, third bool }
	see := func() saw {
		return saw{asks("node2", "client1"), asks("client1", "node2"), pings("node2", "client1"), asks("node1", "client1")}
	}
	all := saw{true, true, true, true}
	for _, test := range []struct {
		f    cluster.Fault
		want saw
	}{
		{cluster.MuteLAN, saw{third: true}},
		{cluster.DeafLAN, saw{third: true}},
		{cluster.NoBroadcast, saw{pings: true, third: true}},
	} {
		l.fault(t, "node2", test.f)
		if got := see(); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.f, got, test.want)
		}
		l.fault(t, "node2", cluster.HealLAN)
		if got := see(); got != all {
			t.Errorf("healed after %s: %+v", test.f, got)
		}
	}
	// One way only: what a mute node is told, it hears.
	l.fault(t, "node2", cluster.MuteLAN)
	if l.heard(t, "node2", "client1") != true || l.heard(t, "client1", "node2") != false {
		t.Error("a mute node is heard, or does not hear")
	}
	l.fault(t, "node2", cluster.HealLAN)
	if err := l.c.Separate(t.Context(), "client1", "node2"); err != nil {
		t.Fatal(err)
	}
	if got, want := see(), (saw{third: true}); got != want {
		t.Errorf("separated: %+v, want %+v", got, want)
	}
	if err := l.c.Rejoin(t.Context(), "node2", "client1"); err != nil {
		t.Fatal(err)
	}
	if got := see(); got != all {
		t.Errorf("rejoined: %+v", got)
	}
}

// heard says whether a broadcast of one host arrives at another.
func (l *life) heard(t *testing.T, to, from string) bool {
	t.Helper()
	h, err := l.c.Host(from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	dump := l.c.Command(ctx, to, "tcpdump", "-l", "-n", "-c1", "-i", "eth0", "arp", "and", "ether", "src", h.MAC)
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for ctx.Err() == nil {
			_ = l.c.Command(ctx, from, "arping", "-q", "-c1", "-w1", "-I", "eth0", "192.168.77.250").Run()
		}
	}()
	return dump.Wait() == nil
}

// client: a client crashes and comes back as new, like a node.
func (l *life) client(t *testing.T) {
	left := l.c.Command(t.Context(), "client1", "sleep", "1000")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	l.fault(t, "client1", cluster.Crash)
	if err := left.Wait(); err == nil {
		t.Error("a process on the client lived on")
	}
	l.fault(t, "client1", cluster.Restore)
	l.want(t, "node1", whole)
	l.speak(t, "node2")
}

func (l *life) linkDown(t *testing.T) {
	l.fault(t, "node2", cluster.LinkDown)
	l.want(t, "node2", links{lan: false, api: true, carrier: false})
	l.fault(t, "node2", cluster.LinkUp)
	l.want(t, "node2", whole)
}

func (l *life) cutAPI(t *testing.T) {
	l.fault(t, "node2", cluster.CutAPI)
	l.want(t, "node2", links{lan: true, api: false, carrier: true})
	l.fault(t, "node2", cluster.HealAPI)
	l.want(t, "node2", whole)
}

// agent: the signals reach a process that is called as the agent is, on that node only.
func (l *life) agent(t *testing.T) {
	if err := l.c.Fault(t.Context(), "node1", cluster.KillAgent); err == nil {
		t.Error("killing an agent that is not there: no error")
	}
	agent := l.c.Command(t.Context(), "node1", "bash", "-c", "exec -a /usr/bin/arpeggio tail -f /dev/null agent")
	bystander := l.c.Command(t.Context(), "node1", "tail", "-f", "/dev/null")
	for _, cmd := range []*exec.Cmd{agent, bystander} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = agent.Wait() // killed: an error in any case
	}()
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	state := func(want string) {
		t.Helper()
		eventually(t, func() error {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", agent.Process.Pid))
			if err != nil || !strings.Contains(string(b), ") "+want+" ") {
				return fmt.Errorf("agent's state is %q, want %s: %w", b, want, err)
			}
			return nil
		})
	}
	eventually(t, func() error { return l.c.Fault(t.Context(), "node1", cluster.PauseAgent) })
	state("T")
	if err := l.c.Fault(t.Context(), "node2", cluster.KillAgent); err == nil {
		t.Error("killed an agent of another node")
	}
	l.fault(t, "node1", cluster.ResumeAgent)
	state("S")
	l.fault(t, "node1", cluster.KillAgent)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the agent runs on")
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another process of the node: %v", err)
	}
}

// crash: nothing runs on and nothing comes out of a crashed node; restored, it has its images and is Ready, and its
// network state is new.
func (l *life) crash(t *testing.T) {
	l.exec(t, "node3", "nft", "add", "table", "inet", "old")
	stray := l.c.Command(t.Context(), "node3", "sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	l.fault(t, "node3", cluster.Crash)
	if err := stray.Wait(); err == nil {
		t.Error("a process on the node lived on")
	}
	if got := l.states(t)["node3"]; got != cluster.Crashed {
		t.Errorf("state of the crashed node: %q", got)
	}
	if got := l.links("node3"); got.lan || got.carrier {
		t.Errorf("links of the crashed node: %+v", got)
	}
	if err := l.c.Load(t.Context(), filepath.Join(cluster.StateDir, "echo.tar")); err == nil || !strings.Contains(err.Error(), "node3") {
		t.Errorf("loading an image while node3 is crashed: %v", err)
	}
	l.fault(t, "node3", cluster.Restore)
	if got := l.states(t)["node3"]; got != cluster.Running {
		t.Errorf("state of the restored node: %q", got)
	}
	l.want(t, "node3", whole)
	if got := l.images(t, "node3"); !strings.Contains(got, "docker.io/arpeggio-lab/loaded:v1") {
		t.Errorf("images of the restored node:\n%s", got)
	}
	if got := l.exec(t, "node3", "nft", "list", "tables"); strings.Contains(got, "old") {
		t.Errorf("tables of the restored node: %s", got)
	}
	// Its pods run again, in containers that started after the crash.
	eventually(t, func() error {
		got, err := l.c.Kubectl(t.Context(), "get", "pods", "--field-selector=spec.nodeName=node3", "-o",
			"jsonpath={range .items[*]}{.status.containerStatuses[0].restartCount}/{.status.containerStatuses[0].ready} {end}").Output()
		if err == nil && (len(got) == 0 || strings.Contains(string(got), "0/") || strings.Contains(string(got), "false")) {
			err = fmt.Errorf("pods of the restored node (restarts/ready): %s", got)
		}
		return err
	})
}

func (l *life) states(t *testing.T) map[string]cluster.State {
	t.Helper()
	s, err := l.c.Status()
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]cluster.State{}
	for _, h := range s.Hosts {
		states[h.Name] = h.State
	}
	return states
}

// controlPlane: stopped, connections are refused and services go on; started, the data is there; in a black hole,
// connections hang.
func (l *life) controlPlane(t *testing.T) {
	api := func() error {
		return l.c.Command(t.Context(), "node1", "curl", "-ksfm1", "https://10.96.0.1/readyz").Run()
	}
	want := func(code int) {
		t.Helper()
		var exit *exec.ExitError
		if err := api(); !errors.As(err, &exit) || exit.ExitCode() != code {
			t.Errorf("curl of the API server: %v, want exit status %d", err, code)
		}
	}
	const refused, timedOut = 7, 28
	before := kubectl(t, l.c, "get", "services", "-o", "custom-columns=:metadata.uid")
	l.fault(t, cluster.ControlPlane, cluster.Stop)
	want(refused)
	if err := l.reaches("client1", probe.HTTP, vip4, true); err != nil {
		t.Errorf("services without a control plane: %v", err)
	}
	l.fault(t, cluster.ControlPlane, cluster.Start)
	eventually(t, api)
	if got := kubectl(t, l.c, "get", "services", "-o", "custom-columns=:metadata.uid"); got != before {
		t.Errorf("services before: %s, after: %s", before, got)
	}
	l.fault(t, cluster.ControlPlane, cluster.Blackhole)
	want(timedOut)
	l.fault(t, cluster.ControlPlane, cluster.Heal)
	eventually(t, api)
	l.fault(t, cluster.ControlPlane, cluster.Freeze)
	want(timedOut)
	l.fault(t, cluster.ControlPlane, cluster.Thaw)
	eventually(t, api)
}

// writes: what a service account of the system namespace writes is recorded, what others write and what it reads is not.
func (l *life) writes(t *testing.T) {
	from := time.Now()
	system := cluster.SystemNamespace
	kubectl(t, l.c, "create", "namespace", system)
	kubectl(t, l.c, "-n", system, "create", "serviceaccount", "scribe")
	kubectl(t, l.c, "create", "clusterrolebinding", "scribe", "--clusterrole=cluster-admin", "--serviceaccount="+system+":scribe")
	url := "https://10.96.0.1/api/v1/namespaces/" + system + "/configmaps"
	token := "Authorization: Bearer " + strings.TrimSpace(kubectl(t, l.c, "-n", system, "create", "token", "scribe"))
	l.exec(t, "node1", "curl", "-sk", "-H", token, "-H", "Content-Type: application/json", "-d", `{"metadata":{"name":"told"}}`, url)
	l.exec(t, "node1", "curl", "-sk", "-H", token, url)
	kubectl(t, l.c, "-n", system, "create", "configmap", "untold")
	kubectl(t, l.c, "delete", "namespace/"+system, "clusterrolebinding/scribe")
	all, err := l.c.Writes(from, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Account != "scribe" || all[0].Resource != "configmaps" || all[0].Code != 201 {
		t.Errorf("writes %+v, want one of scribe", all)
	}
}

// reaches asks once, and says what is wrong when the answer is not the wanted one.
func (l *life) reaches(host string, kind probe.Kind, target netip.Addr, want bool) error {
	p, err := l.c.Probe(context.Background(), host, probe.Config{Kind: kind, Target: netip.AddrPortFrom(target, 80), Interval: 50 * time.Millisecond, Timeout: 300 * time.Millisecond})
	if err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	r, err := p.Stop()
	if err != nil {
		return err
	}
	if got := len(r.Answers) > 0; got != want {
		return fmt.Errorf("%s: answered %v, want %v; %v", r, got, want, r.Errors)
	}
	return nil
}
