// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// stream is a TCP connection that is kept open; nil while there is none.
type stream struct {
	conn net.Conn
	read *bufio.Reader
}

// runStream is Run for Stream. A request that is not answered within the timeout ends its connection.
func runStream(ctx context.Context, c Config, started func()) (Report, error) {
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex // guards requests and broken
		requests []request
		broken   []time.Time
	)
	began := time.Now()
	started()
	for range c.Connections {
		wait.Go(func() {
			var s stream
			defer s.close()
			paced(ctx, c.Interval, func() {
				open := s.conn != nil
				q := request{sent: time.Now()}
				who, err := s.ask(c, q.sent.Add(c.Timeout))
				if err != nil {
					q.err = reason(err)
					s.close()
				} else {
					q.answered, q.who = time.Now(), who
				}
				mu.Lock()
				defer mu.Unlock()
				requests = append(requests, q)
				if open && err != nil {
					broken = append(broken, time.Now())
				}
			})
		})
	}
	wait.Wait()
	r := summarize(c, began, time.Now(), requests)
	r.Broken = broken
	return r, nil
}

// ask sends one request on the connection, which is made if there is none.
func (s *stream) ask(c Config, deadline time.Time) (string, error) {
	if s.conn == nil {
		conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", c.Target.String())
		if err != nil {
			return "", err
		}
		s.conn, s.read = conn, bufio.NewReader(conn)
	}
	if err := s.conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(s.conn, "GET / HTTP/1.1\r\nHost: probe\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(s.read, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answerer(string(body)), err
}

func (s *stream) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	*s = stream{}
}
