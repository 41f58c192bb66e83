// SPDX-License-Identifier: Apache-2.0

// Package integration tests the manager and the API against a real kube-apiserver and etcd.
//
// KUBEBUILDER_ASSETS names the folder with their binaries; the Makefile sets it. Without it
// the tests are skipped, which under CI=true is a failure. There is no controller manager
// beside the API server: nothing is garbage-collected, no pod runs, no namespace goes away.
package integration
