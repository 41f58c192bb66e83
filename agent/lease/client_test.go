// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// seen is a request as the server saw it.
type seen struct{ proto, from string }

// server is an API server by HTTP/2 that knows one Lease, and never ends a watch.
type server struct {
	*httptest.Server

	mu    sync.Mutex // guards byKey
	byKey map[string]seen
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{byKey: map[string]seen{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Has("watch") {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		s.mu.Lock()
		s.byKey[name] = seen{proto: r.Proto, from: r.RemoteAddr}
		s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(&coordinationv1.Lease{
			TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		})
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// config is the way to the server, at its own or another address.
func (s *server) config(addr string) *rest.Config {
	return &rest.Config{Host: "https://" + addr, TLSClientConfig: rest.TLSClientConfig{
		ServerName: "example.com",
		CAData:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
	}}
}

func TestClientsHaveConnectionsOfTheirOwn(t *testing.T) {
	s := newServer(t)
	c, err := NewClients(s.config(s.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]client.Client{"beat": c.Beat, "write": c.Write, "watch": c.Watch, "status": c.Status}
	from := map[string]string{}
	for range 2 {
		for name, c := range byName {
			var l coordinationv1.Lease
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, &l); err != nil {
				t.Fatal(err)
			}
			got := s.byKey[name]
			if other, ok := from[got.from]; ok && other != name {
				t.Errorf("%s and %s share a connection", name, other)
			}
			from[got.from] = name
			want := "HTTP/2.0"
			if name == "beat" {
				want = "HTTP/1.1"
			}
			if got.proto != want {
				t.Errorf("%s: %s, want %s", name, got.proto, want)
			}
		}
	}
	if len(from) != len(byName) {
		t.Errorf("%d connections for %d clients", len(from), len(byName))
	}
}

func TestSilentConnectionsAreLimited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := separate(&rest.Config{}, time.Second).Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ms int
	if cerr := raw.Control(func(fd uintptr) { ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if ms != 3000 {
		t.Errorf("TCP_USER_TIMEOUT %d ms", ms)
	}
}

// pipe carries connections to a server until it is cut: then nothing comes through any
// more, and nobody is told.
type pipe struct {
	net.Listener

	to  string
	cut atomic.Bool
}

func newPipe(t *testing.T, to string) *pipe {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{Listener: l, to: to}
	t.Cleanup(func() { _ = l.Close() })
	go p.run()
	return p
}

func (p *pipe) run() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.to)
		if err != nil {
			return
		}
		go p.carry(c, s)
		go p.carry(s, c)
	}
}

func (p *pipe) carry(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			_ = to.Close()
			return
		}
		if !p.cut.Load() {
			_, _ = to.Write(buf[:n])
		}
	}
}

// A watch on a connection that is dead without a word ends by HTTP/2's pings, and requests
// by their time-outs; the heartbeat's next one goes by another connection.
func TestDeadConnection(t *testing.T) {
	t.Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "1")
	t.Setenv("HTTP2_PING_TIMEOUT_SECONDS", "1")
	s := newServer(t)
	p := newPipe(t, s.Listener.Addr().String())
	c, err := NewClients(s.config(p.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	key := client.ObjectKey{Namespace: "ns", Name: "x"}
	var l coordinationv1.Lease
	if err := c.Beat.Get(ctx, key, &l); err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch.Watch(ctx, &coordinationv1.LeaseList{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	p.cut.Store(true)
	begun := time.Now()
	if err := c.Beat.Get(ctx, key, &l); err == nil {
		t.Error("a request got through")
	}
	if took := time.Since(begun); took > 3*beatTimeout {
		t.Errorf("the heartbeat's request ended after %s", took)
	}
	for range w.ResultChan() {
		continue
	}
	if took := time.Since(begun); ctx.Err() != nil || took > 10*time.Second {
		t.Errorf("the watch ended after %s", took)
	}
	p.cut.Store(false)
	if err := c.Beat.Get(ctx, key, &l); err != nil {
		t.Errorf("the way is free again: %v", err)
	}
}
