// SPDX-License-Identifier: Apache-2.0

// Package journal writes Events (events.k8s.io/v1).
//
// It promises one Event for each Record, with just that note, as long as the API server
// takes it; it never holds up its caller, and drops what it cannot keep up with, which it
// logs. It does not merge Events into series: client-go's recorder does so by reason and
// action whatever the note says, so that within six minutes a second, different message
// would be lost. The callers record changes only.
package journal

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

const (
	reporter = "arpeggio.dev/manager"
	backlog  = 4096 // Events that wait to be written
	maxNote  = 1024 // bytes, the API server's limit
	attempts = 3
	farewell = 2 * time.Second // for what still waits at the end
)

// Entry is an Event to be written.
type Entry struct {
	Regarding client.Object
	Type      string // corev1.EventTypeNormal or EventTypeWarning
	Reason    string // CamelCase, machine readable
	Action    string // what the manager did or would not do, CamelCase
	Note      string // for people
}

// Journal writes Events in the background. It is safe for concurrent use.
type Journal struct {
	client   client.Client
	scheme   *runtime.Scheme
	log      logr.Logger
	instance string
	queue    chan *eventsv1.Event
}

// New gives a journal that writes through the client while Start runs.
func New(c client.Client, log logr.Logger) *Journal {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	return &Journal{
		client:   c,
		scheme:   c.Scheme(),
		log:      log,
		instance: fmt.Sprintf("%.128s", "manager-"+host),
		queue:    make(chan *eventsv1.Event, backlog),
	}
}

// Record queues an Event.
func (j *Journal) Record(e Entry) {
	gvk, err := apiutil.GVKForObject(e.Regarding, j.scheme)
	if err != nil {
		j.log.Error(err, "Event about an unknown kind", "reason", e.Reason)
		return
	}
	namespace := e.Regarding.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	now := time.Now()
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      fmt.Sprintf("%.220s.%x%s", e.Regarding.GetName(), now.UnixNano(), rand.String(4)),
		},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reporter,
		ReportingInstance:   j.instance,
		Action:              e.Action,
		Reason:              e.Reason,
		Type:                e.Type,
		Note:                shorten(e.Note),
		Regarding: corev1.ObjectReference{
			APIVersion:      gvk.GroupVersion().String(),
			Kind:            gvk.Kind,
			Namespace:       e.Regarding.GetNamespace(),
			Name:            e.Regarding.GetName(),
			UID:             e.Regarding.GetUID(),
			ResourceVersion: e.Regarding.GetResourceVersion(),
		},
	}
	select {
	case j.queue <- event:
	default:
		j.log.Info("Event dropped: too many are waiting to be written", "reason", e.Reason, "note", e.Note)
	}
}

// shorten cuts a note to what the API server accepts, at the end of a character.
func shorten(note string) string {
	if len(note) <= maxNote {
		return note
	}
	end := maxNote - len("…")
	for end > 0 && note[end]&0xC0 == 0x80 {
		end--
	}
	return note[:end] + "…"
}

// Start writes the queued Events until the context ends, and then those that still wait,
// for a little while.
func (j *Journal) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			j.flush(context.WithoutCancel(ctx))
			return nil
		case event := <-j.queue:
			j.write(ctx, event)
		}
	}
}

// flush writes what waits.
func (j *Journal) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case event := <-j.queue:
			j.write(ctx, event)
		default:
			return
		}
	}
}

// NeedLeaderElection says that the journal runs on every replica.
func (j *Journal) NeedLeaderElection() bool { return false }

// write creates an Event, and tries again when the API server does not answer. One that
// it refuses (a namespace that is going away, say) is logged at high verbosity only.
func (j *Journal) write(ctx context.Context, event *eventsv1.Event) {
	for n := range attempts {
		err := j.client.Create(ctx, event.DeepCopy())
		if err == nil || ctx.Err() != nil {
			return
		}
		if client.IgnoreAlreadyExists(err) == nil {
			return
		}
		j.log.V(1).Info("Event not written", "reason", event.Reason, "note", event.Note, "error", err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(n+1) * 200 * time.Millisecond):
		}
	}
}
