// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VIPPool is a set of addresses that may be given to Services of type
// LoadBalancer, and the policy by which nodes announce them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=vipp,categories=arpeggio
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="IPv4-Free",type=integer,JSONPath=`.status.ipv4.available`
// +kubebuilder:printcolumn:name="IPv4-Used",type=integer,JSONPath=`.status.ipv4.allocated`
// +kubebuilder:printcolumn:name="IPv6-Free",type=integer,JSONPath=`.status.ipv6.available`
// +kubebuilder:printcolumn:name="IPv6-Used",type=integer,JSONPath=`.status.ipv6.allocated`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name of a VIPPool is at most 63 characters long, because it is used as a label value: choose a shorter name"
type VIPPool struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the user wants.
	// +required
	Spec VIPPoolSpec `json:"spec"`

	// status is what the manager made of it.
	// +optional
	Status VIPPoolStatus `json:"status,omitempty"`
}

// VIPPoolList is a list of VIPPools.
//
// +kubebuilder:object:root=true
type VIPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VIPPool `json:"items"`
}

// AddressRange is a CIDR ("192.168.7.0/24"), a range ("192.168.1.240-192.168.1.250",
// both ends included) or a single address ("fd00:1::f0"). Both ends of a range are
// of one family and the first is not above the last; the order is checked by the
// manager (condition Ready, reason InvalidAddresses), the rest at admission.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=91
// +kubebuilder:validation:XValidation:rule="isIP(self) || isCIDR(self) || (self.split('-').size() == 2 && self.split('-').all(a, isIP(a)))",message="must be a CIDR (192.168.7.0/24), a range of two addresses without spaces (192.168.1.240-192.168.1.250) or a single address (fd00:1::f0)"
// +kubebuilder:validation:XValidation:rule="self.split('-').size() != 2 || !self.split('-').all(a, isIP(a)) || ip(self.split('-')[0]).family() == ip(self.split('-')[1]).family()",message="both ends of a range must be of one family: write one range for IPv4 and another for IPv6"
type AddressRange string

// VIPPoolSpec is what the user wants of a pool.
type VIPPoolSpec struct {
	// addresses of the pool: CIDRs, ranges and single addresses, of both families.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Addresses []AddressRange `json:"addresses"`

	// exclude names addresses of the pool that are never handed out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Exclude []AddressRange `json:"exclude,omitempty"`

	// autoAssign: Enabled gives addresses to every matching Service; Disabled only to
	// Services that name the pool or one of its addresses.
	// +optional
	// +kubebuilder:default=Enabled
	AutoAssign Switch `json:"autoAssign,omitempty"`

	// edgeAddresses: Avoid never hands out the network and the broadcast address of a
	// CIDR, nor an IPv4 address that ends in .0 or .255, unless that address is written
	// alone; Use hands them out.
	// +optional
	// +kubebuilder:default=Avoid
	EdgeAddresses EdgeAddresses `json:"edgeAddresses,omitempty"`

	// allocation: Disabled drains the pool: nothing new is given, what is given stays.
	// +optional
	// +kubebuilder:default=Enabled
	Allocation Switch `json:"allocation,omitempty"`

	// priority orders pools that match the same Service: the higher comes first, equal
	// ones by name.
	// +optional
	// +kubebuilder:default=0
	Priority int32 `json:"priority,omitempty"`

	// conflictPolicy says what is done when another host uses an address that is announced
	// already: Defend goes on answering and announces it again, at most once in ten seconds;
	// Yield gives it up, and the Service gets another one. A Service that asked for just this
	// address (annotation arpeggio.dev/addresses, spec.loadBalancerIP) or brought it along
	// keeps it, and its status goes on showing it; it is not announced for a minute, then
	// probed, and announced again once nobody else is heard to use it.
	//
	// An address that is in use by somebody else before it was ever announced is replaced
	// under both policies, unless the Service asked for it or brought it along.
	// +optional
	// +kubebuilder:default=Defend
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`

	// probing says how long the network is asked whether somebody uses an address already, before
	// it is announced for the first time: Quick takes a second, Full the four to seven seconds of
	// RFC 5227, for networks on which hosts may be slow to answer (wireless, stretched).
	// +optional
	// +kubebuilder:default=Quick
	Probing Probing `json:"probing,omitempty"`

	// ping: Enabled answers ICMP and ICMPv6 echo requests (ping) for the addresses; Disabled
	// leaves them to the node's kernel, which knows nothing of the addresses.
	// +optional
	// +kubebuilder:default=Disabled
	Ping Switch `json:"ping,omitempty"`

	// serviceSelector limits the pool to Services with these labels; empty: all.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty"`

	// namespaceSelector limits the pool to Services in namespaces with these labels;
	// empty: all. Both selectors must match.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// announcements say which nodes may speak for the pool's addresses, and on which
	// interfaces. The first entry whose serviceSelector matches applies; without any,
	// all nodes may, on the interfaces whose subnet holds the address.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Announcements []AnnouncementPolicy `json:"announcements,omitempty"`
}

// Switch is Enabled or Disabled.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type Switch string

// The two positions of a Switch.
const (
	Enabled  Switch = "Enabled"
	Disabled Switch = "Disabled"
)

// ConflictPolicy says what is done about another host that uses an announced address.
//
// +kubebuilder:validation:Enum=Defend;Yield
type ConflictPolicy string

// What is done about another host that uses an announced address (RFC 5227 section 2.4).
const (
	DefendAddress ConflictPolicy = "Defend"
	YieldAddress  ConflictPolicy = "Yield"
)

// Probing says how long a new address is probed.
//
// +kubebuilder:validation:Enum=Quick;Full
type Probing string

// How long a new address is probed (RFC 5227 sections 2.1.1 and 2.2).
const (
	QuickProbing Probing = "Quick"
	FullProbing  Probing = "Full"
)

// EdgeAddresses says what is done with network, broadcast, .0 and .255 addresses.
//
// +kubebuilder:validation:Enum=Avoid;Use
type EdgeAddresses string

// What is done with edge addresses.
const (
	AvoidEdgeAddresses EdgeAddresses = "Avoid"
	UseEdgeAddresses   EdgeAddresses = "Use"
)

// AnnouncementPolicy says which nodes may speak for addresses of a pool.
type AnnouncementPolicy struct {
	// serviceSelector limits this entry to Services with these labels; empty: all.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty"`

	// nodeSelector limits the speakers to nodes with these labels; empty: all.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// preferredNodes ranks nodes: the weights of all terms that match a node are added.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	PreferredNodes []PreferredNodes `json:"preferredNodes,omitempty"`

	// interfaces on which the addresses are announced, by name or shell pattern ("eth0",
	// "bond*"); empty: those whose subnet holds the address, else the one of the default
	// route.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Interfaces []InterfacePattern `json:"interfaces,omitempty"`
}

// InterfacePattern is the name of a network interface, or a shell pattern of names in
// which "*" stands for any characters and "?" for one.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=15
// +kubebuilder:validation:XValidation:rule="self.matches('^[^/\\\\s]+$')",message="an interface name holds neither '/' nor white space: write it as 'ip link' shows it (eth0) or as a pattern (bond*)"
type InterfacePattern string

// PreferredNodes adds a weight to the nodes with these labels.
type PreferredNodes struct {
	// weight of the nodes that match, 1 to 100; the highest sum comes first.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`

	// nodeSelector selects the nodes.
	// +required
	NodeSelector metav1.LabelSelector `json:"nodeSelector"`
}

// VIPPoolStatus is what the manager made of a pool.
type VIPPoolStatus struct {
	// observedGeneration is the generation of the spec this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ipv4 counts the pool's IPv4 addresses.
	// +optional
	IPv4 *AddressCount `json:"ipv4,omitempty"`

	// ipv6 counts the pool's IPv6 addresses.
	// +optional
	IPv6 *AddressCount `json:"ipv6,omitempty"`

	// conditions of the pool: Ready, Overlapping, Exhausted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// AddressCount counts the addresses of one family in a pool. Numbers that do not fit
// (an IPv6 /64 holds 2^64 addresses) stand at 9223372036854775807.
type AddressCount struct {
	// capacity: addresses that may be handed out, edge and excluded ones left out.
	// +optional
	Capacity int64 `json:"capacity"`

	// allocated: addresses given to Services.
	// +optional
	Allocated int64 `json:"allocated"`

	// available: addresses that can still be given; those set aside are not among them.
	// +optional
	Available int64 `json:"available"`

	// setAside: addresses that nobody gets for an hour, because another host was heard to
	// use them; kubectl get ipaddresses -l arpeggio.dev/set-aside lists them.
	// +optional
	SetAside int64 `json:"setAside,omitempty"`
}
