// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/memory"
	"github.com/arpeggio-lb/arpeggio/agent/metrics"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// inputs is how many inputs may wait for the loop; what comes then waits, too.
	inputs = 1024
	// sounds is how many sounds may wait for the loop: two nodes that take a thousand VIPs over
	// together make some thousands. What comes then is dropped and counted.
	sounds = 8192
	// memoryFile is what is kept in the state directory.
	memoryFile = "known.json"
	// leaveBound is how long a shutdown waits for the handovers; the DaemonSet grants 30 s.
	leaveBound = 10 * time.Second
	// markBound is how long it waits before for the heartbeat that says so. The node goes
	// on speaking meanwhile.
	markBound = 3 * time.Second
	// maxIncarnation bounds an incarnation: it is part of a socket's name.
	maxIncarnation = 64
)

// Options configure an agent.
type Options struct {
	// REST is the way to the API server.
	REST *rest.Config
	// Namespace holds the Leases.
	Namespace string
	// Node is this node's name in the API.
	Node string
	// Incarnation tells this process from an earlier one on the node: the pod's UID.
	// Empty: a random one.
	Incarnation string
	// Installation tells this cluster's agents from another's on the same LAN: the UID of
	// the namespace. Empty: the namespace's name.
	Installation string
	// HealthAddress serves /healthz and /readyz; "0": none. The probes of the kubelet,
	// which ask by a command, are answered in any case.
	HealthAddress string
	// MetricsAddress serves /metrics, without authentication; "0" or empty: none.
	MetricsAddress string
	// StateDir is the directory in which the agent keeps what it must know to go on when it
	// is started again while the API server is away; empty: it keeps nothing.
	StateDir string
	// MarkKeyFile holds the key by which agents know each other's marks, 32 hexadecimal digits;
	// empty: marks have no key, and any host can forge them.
	MarkKeyFile string
	// KubeProxyHealthURL is asked whether this node's kube-proxy is healthy; empty: it is
	// not asked.
	KubeProxyHealthURL string
	// NodeIPs are this node's addresses, at which its kube-proxy tells whether a Service
	// has endpoints here; loopback addresses are asked in any case.
	NodeIPs []netip.Addr
	// Version is published in the node's facts.
	Version string
	Log     logr.Logger
}

// Validate fills in what may be left out, and says what is missing.
func (o *Options) Validate() error {
	if o.Namespace == "" {
		return errors.New("--namespace is empty: name the namespace of the installation (arpeggio-system)")
	}
	if o.Node == "" {
		return errors.New("--node-name is empty: name this node as kubectl get nodes does")
	}
	if msgs := validation.IsDNS1123Subdomain(o.Node); len(msgs) > 0 {
		return fmt.Errorf("--node-name %q is no node name: %s", o.Node, msgs[0])
	}
	if o.HealthAddress != "0" {
		if _, err := netip.ParseAddrPort(o.HealthAddress); err != nil {
			return fmt.Errorf("--health-bind-address %q: want an address and a port (127.0.0.1:9809), or 0 for none", o.HealthAddress)
		}
	}
	if o.MetricsAddress != "" && o.MetricsAddress != "0" {
		if _, err := netip.ParseAddrPort(o.MetricsAddress); err != nil {
			return fmt.Errorf("--metrics-bind-address %q: want an address and a port (127.0.0.1:9810), or 0 for none", o.MetricsAddress)
		}
	}
	if o.StateDir != "" && !filepath.IsAbs(o.StateDir) {
		return fmt.Errorf("--state-dir %q: want an absolute path (/var/lib/arpeggio), or nothing, to keep nothing", o.StateDir)
	}
	if o.KubeProxyHealthURL != "" {
		if u, err := url.Parse(o.KubeProxyHealthURL); err != nil || u.Scheme != "http" || u.Host == "" {
			return fmt.Errorf("--kube-proxy-health-url %q: want an http URL (http://127.0.0.1:10256/healthz), or nothing, not to ask", o.KubeProxyHealthURL)
		}
	}
	if len(o.Incarnation) > maxIncarnation {
		return fmt.Errorf("--pod-uid %q is no UID: it has more than %d characters", o.Incarnation, maxIncarnation)
	}
	if o.Incarnation == "" {
		o.Incarnation = uuid.NewString()
	}
	if o.Installation == "" {
		o.Installation = o.Namespace
	}
	return nil
}

// task is a part of the agent that runs until its context ends; an error ends the agent.
type task interface {
	fmt.Stringer
	Run(ctx context.Context) error
}

// Run runs the agent until ctx ends and its VIPs are handed over.
func Run(ctx context.Context, o Options) error {
	clients, err := lease.NewClients(o.REST)
	if err != nil {
		return err
	}
	config := election.Defaults(o.Node)
	store := lease.Store{Client: clients.Write, Namespace: o.Namespace}
	report := newReporter(clients.Status, o.Log.WithName("status"))
	publics := newFactsWriter(store, o.Node, o.Log.WithName("facts"))
	events := newJournal(clients.Status, o.Node, o.Log.WithName("events"))
	l := newLoop(config, store, o)
	if l.ports.key, err = readKey(o.MarkKeyFile); err != nil {
		return err
	}
	l.report, l.publics, l.events = report, publics, events
	counts := metrics.NewRegistry()
	counts.MustRegister(l.ports.counts, l.strangers)
	report.pace, events.pace = l.pace, l.pace

	beat := lease.NewHeartbeat(lease.BeatConfig{
		Client: clients.Beat, Namespace: o.Namespace, Node: o.Node, Incarnation: o.Incarnation,
		Every: config.BeatEvery, Lasts: config.LeaseDuration, Now: l.now, Log: o.Log.WithName("heartbeat"),
		Sent: l.beatSent,
	})
	voice, err := newSuccession(o, l.put, l.now)
	if err != nil {
		return err
	}
	l.shadow = true
	l.hurry = beat.Hurry
	leases, err := lease.NewLeaseWatch(clients.Watch, o.Namespace, o.Node,
		func(name types.NamespacedName, obj *coordinationv1.Lease, there bool) {
			if !there {
				obj = nil
			}
			l.put(leaseChanged{name: name.Name, lease: obj})
		})
	if err != nil {
		return err
	}
	announcements := lease.NewAnnouncementWatch(clients.Watch,
		func(key types.NamespacedName, a *v1alpha1.VIPAnnouncement, there bool) {
			if !there {
				a = nil
			}
			l.put(announcementChanged{key: key, announcement: a})
		})

	voice.ready = func() bool { return leases.Synced() && announcements.Synced() }

	tasks := []task{
		l, report, publics, events, voice, voice.after(beat), leases, announcements, newLinks(l),
		&metrics.Server{Address: o.MetricsAddress, Gatherer: counts},
		&health{address: o.HealthAddress, incarnation: o.Incarnation, log: o.Log.WithName("health"), pulse: l.pulse, now: l.now, synced: voice.ready, shadow: voice.waits},
	}
	var known memory.Snapshot
	if o.StateDir != "" {
		path := filepath.Join(o.StateDir, memoryFile)
		if known, err = memory.Load(path); err != nil {
			o.Log.Info("nothing is known of before this start", "err", err.Error())
		}
		if known.Node == o.Node && known.Installation == o.Installation {
			l.memory = recollection{from: known, synced: voice.ready}
		}
		w := memory.NewWriter(path, o.Log.WithName("memory"))
		l.keeper = w
		tasks = append(tasks, voice.after(w))
	}
	proxy := newFollower(o, known.ProxyAnswered, l.put)
	l.proxied.asks = proxy
	tasks = append(tasks, proxy)

	// What runs outlives ctx: the handovers need it all.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(running)
	for _, t := range tasks {
		group.Go(func() error {
			if err := t.Run(running); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			return nil
		})
	}
	o.Log.Info("agent runs", "node", o.Node, "namespace", o.Namespace, "version", o.Version, "incarnation", o.Incarnation)
	select {
	case <-ctx.Done():
		if !voice.handOn(running, o.Log) {
			shutDown(running, l, beat, o.Log)
		}
	case <-running.Done():
	}
	stop()
	return group.Wait()
}

// links is the task that follows the node's interfaces.
type links struct {
	put   func(input)
	again chan struct{} // asks for another reading
}

func newLinks(l *loop) links {
	w := links{put: l.put, again: make(chan struct{}, 1)}
	l.reread = func() {
		select {
		case w.again <- struct{}{}:
		default: // it was asked for already
		}
	}
	return w
}

// String names the task.
func (links) String() string { return "watch of links" }

// Run follows them until the context ends.
func (w links) Run(ctx context.Context) error {
	return link.WatchAgain(ctx, w.again, func(s link.Snapshot) { w.put(linksChanged{links: s}) })
}

// leaver marks the node as leaving, and returns once that is written.
type leaver interface {
	Leave(ctx context.Context) error
}

// shutDown says in the heartbeat that the node leaves, so that nobody hands to it, and then
// hands over what it speaks for. It gives up when ctx ends: some task has failed.
func shutDown(ctx context.Context, l *loop, beat leaver, log logr.Logger) {
	log.Info("agent leaves: handing over")
	marked, cancel := context.WithTimeout(ctx, markBound)
	defer cancel()
	if err := beat.Leave(marked); err != nil {
		log.Info("could not say so in the heartbeat", "err", err.Error())
	}
	bound, cancel := context.WithTimeout(ctx, leaveBound)
	defer cancel()
	select {
	case l.in <- leave{}:
	case <-bound.Done():
	}
	select {
	case <-l.gone:
		log.Info("agent leaves: nothing is spoken for here any more")
	case <-bound.Done():
		log.Info("agent leaves: handing over took too long, the others will take over by themselves")
	}
}
