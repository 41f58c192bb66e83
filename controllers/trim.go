// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

var endpointSlices client.Object = &discoveryv1.EndpointSlice{}

// trimNode keeps of a node what says who it is, where it is, and whether it may speak.
func trimNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	kept := &corev1.Node{
		ObjectMeta: trimMeta(n.ObjectMeta),
		Spec:       corev1.NodeSpec{Taints: n.Spec.Taints, Unschedulable: n.Spec.Unschedulable},
		Status:     corev1.NodeStatus{Addresses: n.Status.Addresses},
	}
	kept.Labels = n.Labels
	if drain, ok := n.Annotations[v1alpha1.AnnotationDrain]; ok {
		kept.Annotations = map[string]string{v1alpha1.AnnotationDrain: drain}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable || c.Type == corev1.NodeReady {
			kept.Status.Conditions = append(kept.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
	return kept, nil
}

// trimSlice keeps of an EndpointSlice which Service it is of, and of its endpoints the
// address (the first one is the only one that has a meaning), the node and the state.
func trimSlice(o any) (any, error) {
	s, ok := o.(*discoveryv1.EndpointSlice)
	if !ok {
		return o, nil
	}
	kept := &discoveryv1.EndpointSlice{ObjectMeta: trimMeta(s.ObjectMeta), AddressType: s.AddressType}
	if service, ok := s.Labels[discoveryv1.LabelServiceName]; ok {
		kept.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	}
	for _, e := range s.Endpoints {
		kept.Endpoints = append(kept.Endpoints, discoveryv1.Endpoint{Addresses: e.Addresses[:min(len(e.Addresses), 1)], NodeName: e.NodeName, Conditions: e.Conditions})
	}
	return kept, nil
}

// trimMeta keeps what identifies an object.
func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
	}
}
