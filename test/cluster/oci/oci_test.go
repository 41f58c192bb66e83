// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"slices"
	"testing"
)

func TestWriteIsReproducibleAndNamed(t *testing.T) {
	image := Image{Names: []string{"example.com/b:v1", "example.com/a:v1"}, Name: "p", Program: []byte("program"), User: 7}
	var one, two bytes.Buffer
	if err := Write(&one, image); err != nil {
		t.Fatal(err)
	}
	if err := Write(&two, image); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same image is written differently")
	}
	names, err := Names(&one)
	if want := []string{"example.com/a:v1", "example.com/b:v1"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("names %v, %v; want %v", names, err, want)
	}
}

func TestNames(t *testing.T) {
	archive := func(name, content string) *bytes.Buffer {
		var b bytes.Buffer
		if err := writeTar(&b, []file{{"other", []byte("x"), 0o644}, {name, []byte(content), 0o644}}); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	for name, test := range map[string]struct {
		archive *bytes.Buffer
		want    []string
		fail    bool
	}{
		"docker":       {archive("manifest.json", `[{"RepoTags":["r:1","r:2"]},{"RepoTags":null}]`), []string{"r:1", "r:2"}, false},
		"oci":          {archive("index.json", `{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"r:1"}}]}`), []string{"r:1"}, false},
		"oci, unnamed": {archive("index.json", `{"manifests":[{}]}`), nil, false},
		"neither":      {archive("readme", "x"), nil, true},
		"broken":       {archive("index.json", "{"), nil, true},
		"no tar":       {bytes.NewBufferString("something else"), nil, true},
	} {
		got, err := Names(test.archive)
		if (err != nil) != test.fail || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
}
