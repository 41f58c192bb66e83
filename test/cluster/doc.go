// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a real Kubernetes cluster on one machine.
//
// Every host is a network namespace joined by veth pairs to two bridges: a LAN, on which nodes, clients and a gateway
// stand, and a management network, which carries API and pod traffic. A node runs its own containerd, kubelet and
// kube-proxy in PID and mount namespaces of its own, so that killing one process ends the whole node, as pulling the
// plug does. The control plane (etcd, kube-apiserver, kube-controller-manager, kube-scheduler) runs the same way.
//
// Nothing is downloaded but Go modules and Debian packages. What is built is kept in the user's cache directory.
//
// There is at most one such cluster on a machine: its names ([StateDir], namespaces that begin with "arpeggio-lab-")
// are fixed, so that [Down] can find everything that was started, also after this program was killed.
// All functions that change the cluster need root, and hold a lock against each other between processes.
// Faults injected with [Cluster.Fault] are not undone by [Up] or by reading the status, only by their counterparts.
package cluster
