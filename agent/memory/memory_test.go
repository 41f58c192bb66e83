// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// of gives a memory of n Services and three nodes' facts.
func of(n int) Snapshot {
	s := Snapshot{Node: "n1", Installation: "51b9d3e0-7a55-4c1e-8f0a-111111111111", ProxyAnswered: true}
	holder, transitions := "n2", int32(7)
	for i := range n {
		name := fmt.Sprintf("service-%d", i)
		s.Announcements = append(s.Announcements, &v1alpha1.VIPAnnouncement{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "team", Name: name, UID: types.UID(fmt.Sprintf("a%d", i)), ResourceVersion: "17", Generation: 3,
				CreationTimestamp: metav1.Unix(1_700_000_000, 0),
				Annotations:       map[string]string{v1alpha1.AnnotationAddresses: "192.168.1.240"},
				Labels:            map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
				OwnerReferences:   []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: name, UID: "6e1f0a0e-3a61-4f0e-9a5e-222222222222"}},
			},
			Spec: v1alpha1.VIPAnnouncementSpec{
				Addresses:  []v1alpha1.AnnouncedAddress{{Address: "192.168.1.240", Pool: "lan"}, {Address: "fd00:1::f0", Pool: "lan"}},
				LeaseName:  "svc.team." + name,
				Candidates: []string{"n2", "n1", "n3"},
				Excluded:   map[string]string{"n4": "label node.kubernetes.io/exclude-from-external-load-balancers"},
			},
		})
		s.Leases = append(s.Leases, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "arpeggio-system", Name: "svc.team." + name, UID: types.UID(fmt.Sprintf("l%d", i)), ResourceVersion: "18",
				Annotations: map[string]string{v1alpha1.AnnotationServiceUID: "6e1f0a0e-3a61-4f0e-9a5e-222222222222"},
				Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchService},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseTransitions: &transitions, AcquireTime: &metav1.MicroTime{Time: time.Unix(1_700_000_000, 0)}},
		})
	}
	for _, node := range []string{"n1", "n2", "n3"} {
		s.Leases = append(s.Leases, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "arpeggio-system", Name: v1alpha1.FactsLease(node), UID: types.UID("f" + node),
			Annotations: map[string]string{v1alpha1.AnnotationFacts: `{"version":"v1","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01"}]}`},
		}})
	}
	return s
}

func encoded(t testing.TB, s Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := encode(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		want := of(n)
		got, err := decode(bytes.NewReader(encoded(t, want)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d Services: %s", n, d)
		}
	}
	if got, err := decode(bytes.NewReader(encoded(t, Snapshot{}))); err != nil || got.Announcements != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

// What only the API server needs is not kept.
func TestEssence(t *testing.T) {
	s := of(1)
	a := s.Announcements[0]
	a.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	a.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = "all of it again"
	a.Status.Node = "n2"
	got, err := decode(bytes.NewReader(encoded(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(of(1).Announcements, got.Announcements); d != "" {
		t.Error(d)
	}
	if len(a.Annotations) != 2 || a.ManagedFields == nil {
		t.Error("the object that was kept is changed")
	}
}

// Whatever is missing, added or changed in a file is noticed.
func TestDamage(t *testing.T) {
	good := encoded(t, of(2))
	for n := range good {
		if n == len(good)-1 {
			continue // the last line's end says nothing
		}
		if _, err := decode(bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("the first %d of %d octets are a memory", n, len(good))
		}
	}
	last := bytes.LastIndex(good[:len(good)-1], []byte("\n"))
	for n := range last {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(good)
			bad[n] ^= bit
			if _, err := decode(bytes.NewReader(bad)); err == nil {
				t.Fatalf("octet %d changed is not noticed: %q", n, bad[max(0, n-20):n+20])
			}
		}
	}
	lines := strings.SplitAfter(string(good), "\n")
	for what, text := range map[string]string{
		"empty":           "",
		"a line missing":  lines[0] + strings.Join(lines[2:], ""),
		"lines exchanged": lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""),
		"no header":       strings.Join(lines[1:], ""),
		"more behind":     string(good) + "{}\n",
		"zeros":           string(make([]byte, 4096)),
		"a long line":     strings.Repeat("x", maxLine+1),
	} {
		if got, err := decode(strings.NewReader(text)); err == nil || got.Node != "" || got.Leases != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

// What is whole but makes no sense is refused, too.
func TestNonsense(t *testing.T) {
	twice, nameless, later := of(1), of(1), of(0)
	twice.Leases = append(twice.Leases, twice.Leases[0])
	nameless.Announcements[0].UID = ""
	for what, s := range map[string]Snapshot{"twice": twice, "nameless": nameless} {
		if _, err := decode(bytes.NewReader(encoded(t, s))); err == nil {
			t.Errorf("%s is a memory", what)
		}
	}
	text := strings.Replace(string(encoded(t, later)), `"version":1`, `"version":2`, 1)
	if _, err := decode(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
	many := Snapshot{Leases: make([]*coordinationv1.Lease, maxLines+1)}
	for n := range many.Leases {
		many.Leases[n] = &coordinationv1.Lease{}
	}
	if _, err := encode(&bytes.Buffer{}, many); err == nil {
		t.Error("there is no bound")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	if got, err := Load(path); err != nil || got.Node != "" {
		t.Errorf("of no file: %v, %v", got, err)
	}
	one, two := of(2), of(1)
	if _, err := save(path, one, nil); err != nil {
		t.Fatal(err)
	}
	// A writer that died left this.
	if err := os.WriteFile(path+".new", []byte("half a line"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || !cmp.Equal(one, got) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := save(path, two, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || !cmp.Equal(two, got) {
		t.Errorf("%v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != mode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := os.Lstat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("left over: %v", err)
	}
}

// Something else in the file's place is an error, at once.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if _, err := save(target, of(1), nil); err != nil {
		t.Fatal(err)
	}
	pipe, link, folder := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	for _, err := range []error{unix.Mkfifo(pipe, 0o600), os.Symlink(target, link), os.Mkdir(folder, 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{pipe, link, folder} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := save(filepath.Join(dir, "none", "memory"), of(1), nil); err == nil {
		t.Error("no folder is no error")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, of(1)))
	f.Add([]byte(`{"header":{"version":1}}` + "\n" + `{"end":{"lines":1,"crc32c":0}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decode(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, a := range s.Announcements {
			if a.Name == "" || a.UID == "" {
				t.Errorf("%+v is taken", a)
			}
		}
		if again, err := decode(bytes.NewReader(encoded(t, s))); err != nil || !cmp.Equal(s, again) {
			t.Errorf("read, written and read it is another: %v", err)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	s := of(5000)
	path := filepath.Join(b.TempDir(), "memory")
	for b.Loop() {
		if _, err := save(path, s, nil); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB")
}

func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "memory")
	if _, err := save(path, of(5000), nil); err != nil {
		b.Fatal(err)
	}
	var keep Snapshot
	for b.Loop() {
		var err error
		if keep, err = Load(path); err != nil {
			b.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-live")
	runtime.KeepAlive(keep)
}
