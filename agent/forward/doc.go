// SPDX-License-Identifier: Apache-2.0

// Package forward asks this node's kube-proxy whether it forwards what is sent to a VIP. A
// node that speaks before it can forward swallows what it attracts, so nodes whose
// kube-proxy is not ready take a VIP last. It is a condition for beginning to speak, not a
// reason to stop.
//
// Under externalTrafficPolicy Local, kube-proxy answers on the Service's
// healthCheckNodePort: 200 if the Service has a ready endpoint on this node and kube-proxy
// is healthy, else 503. It opens the port, and counts anew, after it has loaded its rules
// (pkg/proxy/healthcheck in Kubernetes). It listens where --nodeport-addresses says: in
// nftables mode on the node's own addresses alone by default, not on 127.0.0.1, in iptables
// mode on all; and each family by itself. So the node's addresses and both loopback
// addresses are asked, and one that answers 200 suffices.
//
// For other Services there is only kube-proxy's own health, http://127.0.0.1:10256/healthz
// unless it is set otherwise. It counts once it has answered, as many clusters have no
// kube-proxy. It is a weak sign: kube-proxy answers 200 from its start, and loads its rules
// up to some seconds later. Therefore one that was seen not to answer counts as ready only
// two seconds after it does.
//
// What it costs is bounded: a port is asked once whatever the number of its Services, at most
// eight at a time, and beyond what is new or hurried at most fifty a second: a thousand
// ports every twenty seconds, which takes one to two percent of a core, kube-proxy's share included.
package forward
