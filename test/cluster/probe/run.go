// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Run asks until ctx ends, waits for what is outstanding and reports. started is called before the first request.
func Run(ctx context.Context, c Config, started func()) (Report, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	switch c.Kind {
	case UDP:
		return runRequests(ctx, c, askUDP, started)
	case HTTP:
		return runRequests(ctx, c, askHTTP, started)
	case ARP, NDP:
		return runNeighbor(ctx, c, started)
	case Stream:
		return runStream(ctx, c, started)
	case Sweep:
		return runSweep(ctx, c, started)
	}
	return Report{}, fmt.Errorf("unknown kind %q", c.Kind)
}

// runRequests is Run for requests that know nothing of each other.
func runRequests(ctx context.Context, c Config, ask func(context.Context, Config) (string, error), started func()) (Report, error) {
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex // guards requests
		requests []request
	)
	began := time.Now()
	started()
	paced(ctx, c.Interval, func() {
		wait.Go(func() {
			q := request{sent: time.Now()}
			// Not ctx: what was asked before the end is still waited for.
			asking, cancel := context.WithDeadline(context.WithoutCancel(ctx), q.sent.Add(c.Timeout))
			defer cancel()
			if who, err := ask(asking, c); err != nil {
				q.err = reason(err)
			} else {
				q.answered, q.who = time.Now(), who
			}
			mu.Lock()
			defer mu.Unlock()
			requests = append(requests, q)
		})
	})
	stopped := time.Now()
	wait.Wait()
	return summarize(c, began, stopped, requests), nil
}

// paced calls f once per interval until ctx ends. A tick that comes late is not made up for.
func paced(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if ctx.Err() == nil {
				f()
			}
		}
	}
}

func askUDP(ctx context.Context, c Config) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", c.Target.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("probe")); err != nil {
		return "", err
	}
	buffer := make([]byte, 2048)
	n, err := conn.Read(buffer)
	if err != nil {
		return "", err
	}
	return answerer(string(buffer[:n])), nil
}

func askHTTP(ctx context.Context, c Config) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Target.String()+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2048))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return answerer(string(body)), nil
}

// answerer shortens an answer to what does not change from one request to the next.
func answerer(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	who, _, _ := strings.Cut(line, " client=")
	return who
}

// reason reduces an error to its cause, so that equal ones can be counted: without ports and addresses.
func reason(err error) error {
	var number syscall.Errno
	var network net.Error
	switch {
	case errors.As(err, &number):
		return number
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return errors.New("no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("connection closed: %w", io.EOF)
	}
	return err
}
