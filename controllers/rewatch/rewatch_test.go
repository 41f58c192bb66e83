// SPDX-License-Identifier: Apache-2.0

package rewatch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

var errRefused = &url.Error{Op: "Get", URL: "https://10.96.0.1", Err: syscall.ECONNREFUSED}

// server is an API server that is away until some time.
type server struct {
	back time.Time
	err  error // what it answers then
	from []time.Time
}

func (s *server) call() error {
	s.from = append(s.from, time.Now())
	if time.Now().Before(s.back) {
		return fmt.Errorf("listing: %w", errRefused)
	}
	return s.err
}

func (s *server) watcher() patient {
	return patient{cache.ToListerWatcherWithContext(&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return &corev1.ServiceList{}, s.call()
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return watch.NewFake(), s.call()
		},
	})}
}

// However long the API server was away, lists and watches begin within some seconds of its return.
func TestBeginsSoonAfterAnOutage(t *testing.T) {
	for name, begin := range map[string]func(context.Context, patient) error{
		"list": func(ctx context.Context, p patient) error {
			_, err := p.ListWithContext(ctx, metav1.ListOptions{})
			return err
		},
		"watch": func(ctx context.Context, p patient) error {
			_, err := p.WatchWithContext(ctx, metav1.ListOptions{})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{back: time.Now().Add(10 * time.Minute)}
			if err := begin(t.Context(), s.watcher()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if late := time.Since(s.back); late > 2*time.Second {
				t.Errorf("%s: %s after the API server was back", name, late)
			}
			for i, at := range s.from[1:] {
				if at.Sub(s.from[i]) < pause {
					t.Errorf("%s: two attempts within %s", name, at.Sub(s.from[i]))
				}
			}
		})
	}
}

// What the API server refuses is the reflector's to deal with: a version that is too old, a right that is
// missing.
func TestAnswersAreHandedOn(t *testing.T) {
	for _, want := range []error{
		apierrors.NewResourceExpired("too old"),
		apierrors.NewForbidden(corev1.Resource("services"), "", errors.New("no")),
		fmt.Errorf("watching: %w", apierrors.NewTooManyRequests("later", 1)),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{err: want}
			if _, err := s.watcher().WatchWithContext(t.Context(), metav1.ListOptions{}); !errors.Is(err, want) || len(s.from) != 1 {
				t.Errorf("%v after %d attempts, want %v after one", err, len(s.from), want)
			}
		})
	}
}

// The end of the context ends the wait.
func TestEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		s := &server{back: began.Add(time.Hour)}
		if _, err := s.watcher().ListWithContext(ctx, metav1.ListOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, want what the last attempt said", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("ended after %s", took)
		}
	})
}
