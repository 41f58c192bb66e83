// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestShorten(t *testing.T) {
	for _, note := range []string{"", "short", strings.Repeat("a", maxNote), strings.Repeat("a", maxNote+1), strings.Repeat("ä", maxNote), strings.Repeat("a", maxNote-4) + "äää"} {
		got := shorten(note)
		if len(got) > maxNote || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid: %v", len(got), utf8.ValidString(got))
		}
		if len(note) <= maxNote && got != note || len(note) > maxNote && !strings.HasSuffix(got, "…") {
			t.Errorf("%q became %q", note, got)
		}
	}
}

// Two Events of one reason with different notes are two Events, also when the manager ends
// right after it recorded them; more than there is room for hold nobody up.
func TestEachNoteIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
		j := New(c, logr.Discard())
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u"}}
		for _, note := range []string{"first", "second"} {
			j.Record(Entry{Regarding: s, Type: corev1.EventTypeNormal, Reason: "R", Action: "A", Note: note})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := j.Start(ctx); err != nil {
			t.Fatal(err)
		}
		var list eventsv1.EventList
		if err := c.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		notes := map[string]bool{}
		for _, e := range list.Items {
			notes[e.Note] = true
			if e.Namespace != "ns" || e.Regarding.Kind != "Service" || e.Regarding.UID != "u" || e.EventTime.IsZero() || e.ReportingController == "" {
				t.Errorf("%+v", e)
			}
		}
		if len(list.Items) != 2 || !notes["first"] || !notes["second"] {
			t.Errorf("%v", notes)
		}
		for range backlog + 10 {
			j.Record(Entry{Regarding: s, Type: corev1.EventTypeNormal, Reason: "R", Action: "A"})
		}
	})
}
