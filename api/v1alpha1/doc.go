// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is Arpeggio's API: VIPPool, the addresses that may be given
// to Services of type LoadBalancer and how they are announced, and
// VIPAnnouncement, who may speak for the addresses of one Service and who does.
//
// The package holds the objects, their validation (CEL in the markers), and the
// names that the manager and the agents must agree on: condition types and
// reasons, annotations, labels and Lease names. It imports apimachinery only.
//
// +kubebuilder:object:generate=true
// +groupName=arpeggio.dev
package v1alpha1
