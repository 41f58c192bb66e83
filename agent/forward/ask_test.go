// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen gives a server on an address and a free port, or on that port.
func listen(t testing.TB, address string, port int32, h http.HandlerFunc) int32 {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// kubeProxy answers as kube-proxy does.
func kubeProxy(endpoints int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if endpoints == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprintf(w, `{"service":{"namespace":"team","name":"web"},"localEndpoints":%d,"serviceProxyHealthy":true}`, endpoints)
	}
}

// The node's own address is asked as well as both loopback ones, and one yes is enough.
func TestAskPort(t *testing.T) {
	node := netip.MustParseAddr("127.0.0.7") // stands for an address of the node
	for _, tt := range []struct {
		name      string
		addresses []string
		endpoints []int
		want      bool
	}{
		{"on all addresses", []string{"0.0.0.0"}, []int{1}, true},
		{"on the node's address alone", []string{"127.0.0.7"}, []int{2}, true},
		{"on IPv6 alone", []string{"::1"}, []int{1}, true},
		{"no endpoints", []string{"127.0.0.7"}, []int{0}, false},
		{"of one family only", []string{"127.0.0.7", "::1"}, []int{0, 1}, true},
		{"nowhere", nil, nil, false},
		{"somewhere else", []string{"127.0.0.8"}, []int{1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := listen(t, "127.0.0.9", 0, kubeProxy(1)) // a free number
			for n, a := range tt.addresses {
				if a == "0.0.0.0" {
					port = listen(t, a, 0, kubeProxy(tt.endpoints[n]))
				} else {
					listen(t, a, port, kubeProxy(tt.endpoints[n]))
				}
			}
			a := newAsker([]netip.Addr{node})
			for range 2 {
				if got := a.port(t.Context(), port); got != tt.want {
					t.Errorf("got %v", got)
				}
			}
		})
	}
}

// Whatever listens there cannot hold the agent up, nor send it elsewhere.
func TestHostileListener(t *testing.T) {
	elsewhere := listen(t, "127.0.0.1", 0, kubeProxy(1))
	for name, h := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, fmt.Sprintf("http://127.0.0.1:%d/", elsewhere), http.StatusFound)
		},
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			for n := range 1000 {
				w.Header().Set(fmt.Sprintf("X-%d", n), "some of the many octets")
			}
		},
		"not found": http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			port := listen(t, "127.0.0.1", 0, h)
			begun := time.Now()
			if newAsker(nil).port(t.Context(), port) {
				t.Error("it is ready")
			}
			if took := time.Since(begun); took > 3*askBound {
				t.Errorf("took %s", took)
			}
		})
	}
	endless := listen(t, "127.0.0.1", 0, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	begun := time.Now()
	if !newAsker(nil).port(t.Context(), endless) {
		t.Error("a yes with a long text is no yes")
	}
	if took := time.Since(begun); took > 3*askBound {
		t.Errorf("took %s", took)
	}
}

func TestAskURL(t *testing.T) {
	port := listen(t, "127.0.0.1", 0, kubeProxy(0))
	a := newAsker(nil)
	if got := a.url(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/healthz", port)); got != http.StatusServiceUnavailable {
		t.Errorf("got %d", got)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if got := a.url(t.Context(), "http://"+l.Addr().String()+"/healthz"); got != 0 {
		t.Errorf("of nobody: %d", got)
	}
}

// BenchmarkAsk says what a question costs: the processor time of this process, the server's
// share included.
func BenchmarkAsk(b *testing.B) {
	yes, no := listen(b, "127.0.0.1", 0, kubeProxy(1)), listen(b, "127.0.0.1", 0, kubeProxy(0))
	for name, port := range map[string]int32{"yes": yes, "no": no} {
		b.Run(name, func(b *testing.B) {
			a := newAsker(nil)
			var before, after unix.Rusage
			_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
			for b.Loop() {
				a.port(b.Context(), port)
			}
			_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
			cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/float64(b.N)/1000, "cpu-µs/op")
		})
	}
}

// BenchmarkPlan says what a thousand ports cost in between.
func BenchmarkPlan(b *testing.B) {
	p := plan{ports: map[int32]*port{}}
	var ports []int32
	for n := range int32(1000) {
		ports = append(ports, n+1)
	}
	p.want(ports, 1)
	now := time.Duration(1)
	for b.Loop() {
		if n, ok, _ := p.pick(now); ok {
			p.ports[n].heard(true, now)
		}
		now += pace
	}
}
