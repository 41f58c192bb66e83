// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Settled tells whether all nodes, the agents and all Deployments are as they shall be; the error says what is not.
func Settled(ctx context.Context, api client.Reader) error {
	var nodes corev1.NodeList
	var agents appsv1.DaemonSet
	var deployments appsv1.DeploymentList
	if err := errors.Join(
		api.List(ctx, &nodes),
		api.Get(ctx, client.ObjectKey{Namespace: SystemNamespace, Name: "arpeggio-agent"}, &agents),
		api.List(ctx, &deployments),
	); err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return fmt.Errorf("node %s is not ready: %s", n.Name, c.Message)
			}
		}
	}
	if s := agents.Status; s.ObservedGeneration != agents.Generation || s.NumberReady != int32(len(nodes.Items)) || s.UpdatedNumberScheduled != s.NumberReady {
		return fmt.Errorf("agents: %+v", s)
	}
	for _, d := range deployments.Items {
		if s := d.Status; s.ObservedGeneration != d.Generation || s.Replicas != *d.Spec.Replicas || s.AvailableReplicas != s.Replicas {
			return fmt.Errorf("deployment %s: %+v", d.Name, s)
		}
	}
	return nil
}
