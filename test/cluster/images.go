// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
	"github.com/arpeggio-lb/arpeggio/test/cluster/oci"
)

// EchoImage is a server that every node has: it answers HTTP and UDP on port 8080 with its pod and node.
const EchoImage = "arpeggio-lab/echo:v1"

// ownImages writes the images that every node has, and gives the archives.
func (c *Cluster) ownImages() ([]string, error) {
	var archives []string
	for _, name := range []string{"pause", "echo"} {
		program, err := os.ReadFile(filepath.Join(c.state.Binaries.Programs, name))
		if err != nil {
			return nil, err
		}
		repository := "docker.io/arpeggio-lab/" + name
		image := oci.Image{Names: []string{repository + ":v1", repository + ":latest"}, Name: name, Program: program, User: 65532}
		archive := filepath.Join(StateDir, name+".tar")
		f, err := os.Create(archive)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(oci.Write(f, image), f.Close()); err != nil {
			return nil, fmt.Errorf("writing image %s: %w", name, err)
		}
		archives = append(archives, archive)
	}
	return archives, nil
}

// Load imports an image archive (of docker or OCI) into every node. It stays there when the node is restarted.
// Every node must run, and the archive must name its images.
func (c *Cluster) Load(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	names, err := oci.Names(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("image archive %s: %w", archive, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("image archive %s names no image; buildah push IMAGE oci-archive:FILE:NAME writes one that does", archive)
	}
	var crashed []string
	for _, h := range c.nodes() {
		if alive, err := machine.Alive(hostDir(h.Name)); err != nil {
			return err
		} else if !alive {
			crashed = append(crashed, h.Name)
		}
	}
	if len(crashed) > 0 {
		return fmt.Errorf("cannot load an image into %s, which does not run: restore it first", strings.Join(crashed, ", "))
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, h := range c.nodes() {
		group.Go(func() error { return c.importImages(ctx, h, []string{archive}) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.report.step("loaded %s into %d nodes", strings.Join(names, ", "), len(c.nodes()))
	return nil
}

// importImages imports archives into one node, waiting for its containerd to come up.
func (c *Cluster) importImages(ctx context.Context, h Host, archives []string) error {
	err := poll(ctx, func() error { _, err := c.ctr(ctx, h, "version"); return err })
	if err != nil {
		return fmt.Errorf("containerd on %s does not answer (log: %s): %w", h.Name, machine.LogFile(hostDir(h.Name), "containerd"), err)
	}
	for _, a := range archives {
		if _, err := c.ctr(ctx, h, "--namespace=k8s.io", "images", "import", a); err != nil {
			return fmt.Errorf("importing an image on %s: %w", h.Name, err)
		}
	}
	return nil
}

func (c *Cluster) ctr(ctx context.Context, h Host, args ...string) (string, error) {
	args = append([]string{"--address=" + containerdSocket(h.Name)}, args...)
	return run(ctx, filepath.Join(c.state.Binaries.Containerd, "ctr"), args...)
}
