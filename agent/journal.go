// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// controllerName is the reportingController of the agent's Events.
	controllerName = "arpeggio.dev/agent"
	// backlog is how many Events may wait to be written.
	backlog      = 4096
	eventTries   = 3
	eventRetry   = 500 * time.Millisecond
	maxEventNote = 1024 // bytes, the API server's limit
)

// journal writes Events, each with just its note. client-go's recorder is not used because
// it merges Events by reason and action whatever they say: of two takeovers by one node
// within six minutes the second would not be told.
type journal struct {
	client client.Client
	node   string
	log    logr.Logger
	queue  chan *eventsv1.Event
	pace   *pace // of what goes first
}

func newJournal(c client.Client, node string, log logr.Logger) *journal {
	return &journal{client: c, node: node, log: log, queue: make(chan *eventsv1.Event, backlog)}
}

// record queues an Event; one for which there is no room is lost.
func (j *journal) record(e event) {
	now := time.Now()
	select {
	case j.queue <- &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.service.Namespace,
			Name:      fmt.Sprintf("%s.%x%s", e.service.Name, now.UnixNano(), rand.String(4)),
		},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: controllerName,
		ReportingInstance:   fmt.Sprintf("%.128s", j.node),
		Action:              e.action,
		Reason:              e.reason,
		Type:                e.kind,
		Note:                e.note[:min(len(e.note), maxEventNote)],
		Regarding:           e.service,
	}:
	default:
		j.log.Info("Event dropped, too many are waiting", "reason", e.reason, "note", e.note)
	}
}

// String names the task.
func (j *journal) String() string { return "Events" }

// Run writes until the context ends, and then for a moment what is left.
func (j *journal) Run(ctx context.Context) error {
	var cut *eventsv1.Event // whose writing was cut off
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case e := <-j.queue:
			cut = nil
			j.pace.calm(ctx)
			if !j.write(ctx, e) {
				cut = e
			}
		}
	}
	j.flush(context.WithoutCancel(ctx), cut)
	return nil
}

func (j *journal) flush(ctx context.Context, cut *eventsv1.Event) {
	ctx, cancel := context.WithTimeout(ctx, flushBound)
	defer cancel()
	if cut != nil {
		j.write(ctx, cut)
	}
	for ctx.Err() == nil {
		select {
		case e := <-j.queue:
			j.write(ctx, e)
		default:
			return
		}
	}
}

// write creates an Event, and tries again while the API server does not answer.
func (j *journal) write(ctx context.Context, e *eventsv1.Event) (written bool) {
	for range eventTries {
		err := j.client.Create(ctx, e.DeepCopy())
		if client.IgnoreAlreadyExists(err) == nil {
			return true
		}
		j.log.V(1).Info("Event not written", "reason", e.Reason, "note", e.Note, "err", err.Error())
		select {
		case <-ctx.Done():
			return false
		case <-time.After(eventRetry):
		}
	}
	return false
}
