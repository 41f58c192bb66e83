// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Names lists the names of the images in an archive of docker ("docker save") or OCI, sorted. An archive of another
// form, or one that is compressed, is an error; one whose images have no names gives none.
func Names(archive io.Reader) ([]string, error) {
	var names []string
	known := false
	for t := tar.NewReader(archive); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the archive: %w", err)
		}
		read := dockerNames
		switch h.Name {
		case "index.json":
			read = indexNames
		case "manifest.json":
		default:
			continue
		}
		found, err := read(t)
		if err != nil {
			return nil, fmt.Errorf("reading %s of the archive: %w", h.Name, err)
		}
		names, known = append(names, found...), true
	}
	if !known {
		return nil, errors.New("neither index.json nor manifest.json in the archive")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func indexNames(r io.Reader) ([]string, error) {
	var index struct {
		Manifests []struct{ Annotations map[string]string }
	}
	if err := json.NewDecoder(r).Decode(&index); err != nil {
		return nil, err
	}
	var names []string
	for _, m := range index.Manifests {
		for _, key := range []string{containerdName, refName} {
			if name := m.Annotations[key]; name != "" {
				names = append(names, name)
				break
			}
		}
	}
	return names, nil
}

func dockerNames(r io.Reader) ([]string, error) {
	var manifests []struct{ RepoTags []string }
	if err := json.NewDecoder(r).Decode(&manifests); err != nil {
		return nil, err
	}
	var names []string
	for _, m := range manifests {
		names = append(names, m.RepoTags...)
	}
	return names, nil
}
