// SPDX-License-Identifier: Apache-2.0

// Package oci writes container images that consist of one static program, as OCI archives that containerd, podman and
// others load, and reads the names in such archives. It needs no daemon and no base image, and gives the same bytes for
// the same program.
package oci
