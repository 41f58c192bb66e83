// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
)

// Image is an image with one program and nothing else.
type Image struct {
	// Names are full references, such as docker.io/library/busybox:1.
	Names []string
	// Program is put at /NAME and is the image's entry point.
	Name    string
	Program []byte
	// User is the numeric user the program runs as.
	User int
}

type object = map[string]any

// Annotations that carry an image's name in an index: containerd's own, and that of the OCI image specification.
const (
	containerdName = "io.containerd.image.name"
	refName        = "org.opencontainers.image.ref.name"
)

// blob is a piece of content under the name of its hash.
type blob struct {
	digest string
	data   []byte
}

func newBlob(data []byte) blob {
	sum := sha256.Sum256(data)
	return blob{digest: "sha256:" + hex.EncodeToString(sum[:]), data: data}
}

func newJSONBlob(v any) (blob, error) {
	b, err := json.Marshal(v)
	return newBlob(b), err
}

func (b blob) descriptor(mediaType string) object {
	return object{"mediaType": mediaType, "digest": b.digest, "size": len(b.data)}
}

// Write writes the image as an OCI archive (a tar of an OCI image layout) for this machine's architecture.
func Write(w io.Writer, image Image) error {
	var layerTar bytes.Buffer
	if err := writeTar(&layerTar, []file{{image.Name, image.Program, 0o755}}); err != nil {
		return err
	}
	layer := newBlob(layerTar.Bytes())
	config, err := newJSONBlob(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": []string{"/" + image.Name}, "User": fmt.Sprintf("%d:%d", image.User, image.User)},
		"rootfs": object{"type": "layers", "diff_ids": []string{layer.digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := newJSONBlob(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config.descriptor("application/vnd.oci.image.config.v1+json"),
		"layers": []object{layer.descriptor("application/vnd.oci.image.layer.v1.tar")},
	})
	if err != nil {
		return err
	}
	var manifests []object
	for _, name := range image.Names {
		d := manifest.descriptor("application/vnd.oci.image.manifest.v1+json")
		d["annotations"] = object{containerdName: name, refName: name}
		d["platform"] = object{"architecture": runtime.GOARCH, "os": "linux"}
		manifests = append(manifests, d)
	}
	index, err := json.Marshal(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
	})
	if err != nil {
		return err
	}
	files := []file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644}, {"index.json", index, 0o644}}
	for _, b := range []blob{layer, config, manifest} {
		files = append(files, file{"blobs/sha256/" + b.digest[len("sha256:"):], b.data, 0o644})
	}
	return writeTar(w, files)
}

type file struct {
	name string
	data []byte
	mode int64
}

func writeTar(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.data)), Mode: f.mode}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}
