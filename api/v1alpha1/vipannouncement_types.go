// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VIPAnnouncement says who may speak for the addresses of one Service (spec, written by
// the manager) and who does (status, written by the speaking agent). It has the name and
// the namespace of its Service and is owned by it; users read it and do not write it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vipa,categories=arpeggio
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.metadata.annotations['arpeggio\.dev/addresses']`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.status.addresses[0].interface`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Announced")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Announced")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="MAC",type=string,JSONPath=`.status.addresses[0].mac`,priority=1
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`,priority=1
// +kubebuilder:printcolumn:name="Transitions",type=integer,JSONPath=`.status.transitions`,priority=1
// +kubebuilder:printcolumn:name="Lease",type=string,JSONPath=`.spec.leaseName`,priority=1
type VIPAnnouncement struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the policy: the addresses, and the nodes that may speak for them.
	// +required
	Spec VIPAnnouncementSpec `json:"spec"`

	// status is what the wire does.
	// +optional
	Status VIPAnnouncementStatus `json:"status,omitempty"`
}

// VIPAnnouncementList is a list of VIPAnnouncements.
//
// +kubebuilder:object:root=true
type VIPAnnouncementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VIPAnnouncement `json:"items"`
}

// VIPAnnouncementSpec is the policy for the addresses of one Service.
type VIPAnnouncementSpec struct {
	// addresses of the Service that are to be announced, in its order of families; empty
	// while it has none, or has yielded it to another host.
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=2
	Addresses []AnnouncedAddress `json:"addresses,omitempty"`

	// leaseName is the Lease, in the installation's namespace, whose holder speaks.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LeaseName string `json:"leaseName"`

	// candidates are the nodes that may speak, the preferred one first.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Candidates []string `json:"candidates,omitempty"`

	// excluded are nodes that must not speak, with the reason. A speaker gives its VIPs
	// up when it is named here, not because it is missing from candidates.
	// +optional
	Excluded map[string]string `json:"excluded,omitempty"`

	// moveTo is the node to which the speaker is asked to hand over.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	MoveTo string `json:"moveTo,omitempty"`

	// displace is the epoch whose speaker may be replaced although it still answers: its
	// heartbeat is overdue, and the endpoints changed since or a minute went by. It is taken
	// back when another epoch begins or the heartbeat is.
	// +optional
	// +kubebuilder:validation:MaxLength=80
	Displace Epoch `json:"displace,omitempty"`

	// healthCheckNodePort is that of the Service, under externalTrafficPolicy Local: on it
	// kube-proxy tells of its own node whether it forwards to an endpoint there.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	HealthCheckNodePort int32 `json:"healthCheckNodePort,omitempty"`

	// interfaces on which the addresses are announced, by name or shell pattern; empty:
	// those whose subnet holds the address, else the one of the default route.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Interfaces []InterfacePattern `json:"interfaces,omitempty"`
}

// AnnouncedAddress is an address of a Service and the pool it comes from.
type AnnouncedAddress struct {
	// address in canonical form (RFC 5952 for IPv6).
	// +required
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be a single IPv4 or IPv6 address"
	Address string `json:"address"`

	// pool is the VIPPool the address was taken from.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Pool string `json:"pool,omitempty"`

	// conflictPolicy is that of the pool; empty: Defend.
	// +optional
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`

	// probing is that of the pool; empty: Quick.
	// +optional
	Probing Probing `json:"probing,omitempty"`

	// ping is that of the pool; empty: Disabled.
	// +optional
	Ping Switch `json:"ping,omitempty"`
}

// Epoch numbers the reigns over one Lease: "<UID of the Lease>/<leaseTransitions>". Two
// epochs of one Lease UID are ordered by the second part; epochs of different UIDs are not.
type Epoch string

// VIPAnnouncementStatus is what the speaking agent says of itself.
type VIPAnnouncementStatus struct {
	// node that speaks; empty while nobody does.
	// +optional
	Node string `json:"node,omitempty"`

	// addresses that are spoken for, with the card that does.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Addresses []SpokenAddress `json:"addresses,omitempty"`

	// since is when the node began to speak.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// epoch of the reign this status speaks of.
	// +optional
	Epoch Epoch `json:"epoch,omitempty"`

	// transitions counts the changes of the speaker.
	// +optional
	Transitions int32 `json:"transitions,omitempty"`

	// history holds the last ten changes of the speaker, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []Transition `json:"history,omitempty"`

	// probed are the addresses that a node found free on the network before they were used
	// for the first time (RFC 5227 section 2.1), or that were spoken for when the last speaker
	// went. One that is neither here nor among addresses is probed before anybody speaks for
	// it. The manager takes out what is no longer in spec.addresses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Probed []string `json:"probed,omitempty"`

	// conflicts are the other hosts that use addresses of the Service, as agents hear them. The
	// manager takes out those of addresses that are no longer in spec.addresses.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Conflicts []Conflict `json:"conflicts,omitempty"`

	// conditions of the announcement: Announced, Watched, AddressConflict and KernelAnswers, by
	// agents; Serving, EndpointsNameless and AddressUnserved, by the manager.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SpokenAddress is one address on one interface.
type SpokenAddress struct {
	// address that is answered for.
	// +required
	Address string `json:"address"`

	// interface of the node on which it is.
	// +required
	Interface string `json:"interface"`

	// mac is the Ethernet address that neighbours get as the answer.
	// +required
	MAC string `json:"mac"`
}

// Conflict is somebody else who answers for an address or claims it.
type Conflict struct {
	// address that is used.
	// +required
	Address string `json:"address"`

	// mac of who uses it, as neighbours get it.
	// +required
	MAC string `json:"mac"`

	// reporter is the node that heard it.
	// +required
	Reporter string `json:"reporter"`

	// interface of the reporter on which it was heard.
	// +optional
	Interface string `json:"interface,omitempty"`

	// node whose card it is; empty: no node of this cluster.
	// +optional
	Node string `json:"node,omitempty"`

	// reason: ForeignHost, ProxyAnswers, OtherAnnouncer or KernelAnswers.
	// +required
	Reason string `json:"reason"`

	// since is when it was heard first.
	// +required
	Since metav1.Time `json:"since"`
}

// Transition is one change of the speaker.
type Transition struct {
	// from is the node that spoke before; empty: nobody did.
	// +optional
	From string `json:"from,omitempty"`

	// to is the node that speaks since.
	// +required
	To string `json:"to"`

	// when it began to speak.
	// +required
	When metav1.Time `json:"when"`

	// why: the reason of the Event that was written.
	// +required
	Why string `json:"why"`

	// took is how long the new speaker needed from its first suspicion (or from the
	// giver's hand) to its first announcement, in milliseconds.
	// +optional
	TookMillis int64 `json:"tookMillis,omitempty"`
}
