// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/agents"
	"github.com/arpeggio-lb/arpeggio/controllers/allocation"
	"github.com/arpeggio-lb/arpeggio/controllers/announcement"
	"github.com/arpeggio-lb/arpeggio/controllers/inventory"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
	"github.com/arpeggio-lb/arpeggio/controllers/nodelease"
	"github.com/arpeggio-lb/arpeggio/controllers/pool"
	"github.com/arpeggio-lb/arpeggio/controllers/rewatch"
	"github.com/arpeggio-lb/arpeggio/controllers/roster"
)

// electionLease is the Lease by which the replicas elect their leader. Its name begins with
// no kind of the agents' Leases, so that their rights do not reach it.
const electionLease = "manager"

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=arpeggio-system,verbs=create
// +kubebuilder:rbac:groups="",resources=events,namespace=arpeggio-system,verbs=create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=arpeggio-system,resourceNames=manager,verbs=get;update

// Run runs the manager until the context ends, or until it loses its leadership.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o.Config = rest.CopyConfig(o.Config)
	if o.Config.QPS == 0 {
		o.Config.QPS = -1
	}
	if err := supported(o.Config); err != nil {
		return err
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	if err := setup(ctx, mgr, o); err != nil {
		return err
	}
	if err := mgr.Start(log.IntoContext(ctx, o.Log)); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

// supported makes sure that the API server serves the kinds the manager stands on.
func supported(cfg *rest.Config) error {
	dc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	for _, need := range []struct{ groupVersion, resource, remedy string }{
		{networkingv1.SchemeGroupVersion.String(), "ipaddresses", "Arpeggio claims addresses by them; run Kubernetes 1.33 or newer, without networking.k8s.io/v1 switched off in --runtime-config"},
		{networkingv1.SchemeGroupVersion.String(), "servicecidrs", "Arpeggio keeps out of the ranges of ClusterIPs; run Kubernetes 1.33 or newer"},
		{v1alpha1.GroupVersion.String(), "vippools", "install Arpeggio's CRDs"},
		{v1alpha1.GroupVersion.String(), "vipannouncements", "install Arpeggio's CRDs"},
	} {
		list, err := dc.ServerResourcesForGroupVersion(need.groupVersion)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("asking the API server for %s: %w", need.groupVersion, err)
		}
		served := false
		for i := 0; err == nil && i < len(list.APIResources); i++ {
			served = served || list.APIResources[i].Name == need.resource
		}
		if !served {
			return fmt.Errorf("the API server does not serve %s of %s: %s", need.resource, need.groupVersion, need.remedy)
		}
	}
	return nil
}

// Scheme knows the kinds of the manager.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s))
}

// newManager makes a manager that holds in memory only what is needed.
func newManager(o Options) (manager.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	watched, err := labels.NewRequirement(v1alpha1.LabelWatch, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("selecting Leases: %w", err)
	}
	named := fields.OneTermEqualSelector("metadata.name", agents.Name)
	key := fields.OneTermEqualSelector("metadata.name", agents.KeySecret)
	grace, sameName := 10*time.Second, true
	mgr, err := manager.New(o.Config, manager.Options{
		Scheme:                        scheme,
		Logger:                        o.Log,
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              electionLease,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		HealthProbeBindAddress:        orNone(o.HealthAddress),
		Metrics:                       metricsserver.Options{BindAddress: orNone(o.MetricsAddress)},
		GracefulShutdownTimeout:       &grace,
		Controller:                    config.Controller{SkipNameValidation: &sameName}, // several managers in one test process
		Cache: cache.Options{
			NewInformer:      rewatch.NewInformer,
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&coordinationv1.Lease{}:  {Namespaces: map[string]cache.Config{o.Namespace: {LabelSelector: labels.NewSelector().Add(*watched)}}},
				&appsv1.DaemonSet{}:      {Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: named}}},
				&corev1.ServiceAccount{}: {Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: named}}},
				&corev1.Secret{}:         {Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: key}}},
				&corev1.Node{}:           {Transform: trimNode},
				endpointSlices:           {Transform: trimSlice},
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return mgr, nil
}

// setup adds the controllers.
func setup(ctx context.Context, mgr manager.Manager, o Options) error {
	inv, ros := inventory.New(), roster.New(time.Now)
	events := journal.New(mgr.GetClient(), o.Log.WithName("journal"))
	class := inventory.Class{OnlyNamed: o.OnlyNamedClass}
	c, live := mgr.GetClient(), mgr.GetAPIReader()
	errs := []error{
		inv.Follow(ctx, mgr.GetCache()),
		ros.Follow(ctx, mgr.GetCache()),
		mgr.Add(events),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("ping", healthz.Ping),
		pool.New(c, inv, events).Setup(mgr, inv),
		allocation.New(c, live, inv, ros, events, class, o.Namespace).Setup(mgr),
		announcement.New(c, live, inv, ros, events, class, o.Namespace).Setup(ctx, mgr, announcement.Changes{Inventory: inv, Roster: ros}),
		nodelease.New(c, live, ros, o.Namespace).Setup(mgr),
	}
	if o.AgentImage != "" {
		errs = append(errs, agents.New(c, events, o.Namespace, agents.Pods{Image: o.AgentImage, MetricsAddress: o.AgentMetricsAddress}).Setup(mgr))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("setting up the controllers: %w", err)
	}
	return nil
}

// orNone switches a server off when no address is given.
func orNone(address string) string {
	if address == "" {
		return "0"
	}
	return address
}
