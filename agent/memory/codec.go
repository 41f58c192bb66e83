// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// version of the format. A file of another one is refused.
	version = 1
	// maxLine bounds one object: more than the API server stores, 1.5 MiB.
	maxLine = 2 << 20
	// maxLines and maxOctets bound a file.
	maxLines  = 100_000
	maxOctets = 64 << 20
)

// Snapshot is what an agent knows. Its objects are not changed by whoever has it.
type Snapshot struct {
	// Node and Installation are whose memory it is.
	Node, Installation string
	// ProxyAnswered is whether this node's kube-proxy ever answered on its health URL.
	ProxyAnswered bool
	// Announcements have their metadata and spec. The status is not kept.
	Announcements []*v1alpha1.VIPAnnouncement
	// Leases of Services, and those with facts. Heartbeats are no memory: they would have
	// it written every two seconds.
	Leases []*coordinationv1.Lease
}

// line is one line of a file: the header, an object, or the end.
type line struct {
	Header       *header                   `json:"header,omitempty"`
	Announcement *v1alpha1.VIPAnnouncement `json:"announcement,omitempty"`
	Lease        *coordinationv1.Lease     `json:"lease,omitempty"`
	End          *end                      `json:"end,omitempty"`
}

type header struct {
	Version       int    `json:"version"`
	Node          string `json:"node"`
	Installation  string `json:"installation"`
	ProxyAnswered bool   `json:"proxyAnswered,omitempty"`
}

// end sums up the lines before it.
type end struct {
	Lines int    `json:"lines"`
	CRC   uint32 `json:"crc32c"`
}

// sum counts and sums up lines, which are given without the octet that ends them.
type sum struct {
	hash          hash.Hash32
	lines, octets int
}

func newSum() *sum { return &sum{hash: crc32.New(crc32.MakeTable(crc32.Castagnoli))} }

func (s *sum) add(text []byte) error {
	_, _ = s.hash.Write(text) // it never fails
	_, _ = s.hash.Write([]byte{'\n'})
	s.lines++
	if s.octets += len(text) + 1; s.lines > maxLines || s.octets > maxOctets {
		return fmt.Errorf("more than %d lines or %d octets", maxLines, maxOctets)
	}
	return nil
}

// encode writes a snapshot, and gives its checksum. Its use of space is that of one object.
func encode(w io.Writer, s Snapshot) (uint32, error) {
	sum := newSum()
	put := func(l line) error {
		text, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("encoding: %w", err)
		}
		if err := sum.add(text); err != nil {
			return err
		}
		_, err = w.Write(append(text, '\n'))
		return err
	}
	if err := put(line{Header: &header{Version: version, Node: s.Node, Installation: s.Installation, ProxyAnswered: s.ProxyAnswered}}); err != nil {
		return 0, err
	}
	for _, a := range s.Announcements {
		if err := put(line{Announcement: &v1alpha1.VIPAnnouncement{ObjectMeta: essence(&a.ObjectMeta), Spec: a.Spec}}); err != nil {
			return 0, err
		}
	}
	for _, l := range s.Leases {
		if err := put(line{Lease: &coordinationv1.Lease{ObjectMeta: essence(&l.ObjectMeta), Spec: l.Spec}}); err != nil {
			return 0, err
		}
	}
	e := end{Lines: sum.lines, CRC: sum.hash.Sum32()}
	return e.CRC, put(line{End: &e})
}

// essence is the metadata without what only the API server and its users need.
func essence(m *metav1.ObjectMeta) metav1.ObjectMeta {
	e := metav1.ObjectMeta{
		Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp, OwnerReferences: m.OwnerReferences, Labels: m.Labels, Annotations: m.Annotations,
	}
	if _, there := m.Annotations[corev1.LastAppliedConfigAnnotation]; there {
		e.Annotations = make(map[string]string, len(m.Annotations))
		for k, v := range m.Annotations {
			if k != corev1.LastAppliedConfigAnnotation {
				e.Annotations[k] = v
			}
		}
	}
	return e
}

// decode reads what encode wrote. Unless all of it is there and right, it gives an error and
// nothing else.
func decode(r io.Reader) (Snapshot, error) {
	var s Snapshot
	sum := newSum()
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return Snapshot{}, fmt.Errorf("line %d: %w", sum.lines+1, err)
		}
		if l.End != nil {
			if l.End.Lines != sum.lines || l.End.CRC != sum.hash.Sum32() {
				return Snapshot{}, errors.New("the checksum is wrong")
			}
			if lines.Scan() {
				return Snapshot{}, errors.New("it goes on behind its end")
			}
			return s, lines.Err()
		}
		if err := s.add(l, sum.lines == 0, seen); err != nil {
			return Snapshot{}, fmt.Errorf("line %d: %w", sum.lines+1, err)
		}
		if err := sum.add(lines.Bytes()); err != nil {
			return Snapshot{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return Snapshot{}, fmt.Errorf("line %d: %w", sum.lines+1, err)
	}
	return Snapshot{}, errors.New("its end is missing")
}

// add takes a line in: the header first, then objects, each once.
func (s *Snapshot) add(l line, first bool, seen map[string]bool) error {
	if first != (l.Header != nil) {
		return errors.New("a header is missing, or in the wrong place")
	}
	var key string
	var meta *metav1.ObjectMeta
	switch {
	case first && l.Header.Version != version:
		return fmt.Errorf("it is of version %d, this agent reads %d", l.Header.Version, version)
	case first:
		s.Node, s.Installation, s.ProxyAnswered = l.Header.Node, l.Header.Installation, l.Header.ProxyAnswered
		return nil
	case l.Announcement != nil && l.Lease == nil:
		s.Announcements, key, meta = append(s.Announcements, l.Announcement), "announcement ", &l.Announcement.ObjectMeta
	case l.Lease != nil && l.Announcement == nil:
		s.Leases, key, meta = append(s.Leases, l.Lease), "lease ", &l.Lease.ObjectMeta
	default:
		return errors.New("it holds no object, or two")
	}
	key += meta.Namespace + "/" + meta.Name
	if meta.Name == "" || meta.Namespace == "" || meta.UID == "" || seen[key] {
		return fmt.Errorf("%s has no name or no UID, or is there twice", key)
	}
	seen[key] = true
	return nil
}
