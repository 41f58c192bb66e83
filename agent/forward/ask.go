// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// askBound is how long one question may take, all addresses together.
const askBound = 300 * time.Millisecond

// asker asks over HTTP. Its methods may be called from any goroutine.
type asker struct {
	client *http.Client
	hosts  []string
	best   atomic.Int32 // index of the host that said yes last
}

func newAsker(addresses []netip.Addr) *asker {
	loopback := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	a := &asker{client: &http.Client{
		Transport: &http.Transport{ // no proxy: it is this node that is asked
			DialContext: (&net.Dialer{Timeout: askBound}).DialContext,
			// A connection for each of a thousand ports would be more than it saves.
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 4 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, ip := range append(slices.Clone(addresses), loopback...) {
		if host := ip.Unmap().String(); !slices.Contains(a.hosts, host) {
			a.hosts = append(a.hosts, host)
		}
	}
	return a
}

// port asks on a health check node port whether the Service has endpoints here.
func (a *asker) port(ctx context.Context, port int32) bool {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	best := int(a.best.Load())
	for n := range a.hosts {
		i := (best + n) % len(a.hosts)
		if status := a.get(ctx, "http://"+net.JoinHostPort(a.hosts[i], strconv.Itoa(int(port)))+"/"); status == http.StatusOK {
			a.best.Store(int32(i))
			return true
		}
	}
	return false
}

// url asks a health URL, and gives the status; 0: it did not answer.
func (a *asker) url(ctx context.Context, url string) int {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	return a.get(ctx, url)
}

func (a *asker) get(ctx context.Context, url string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0
	}
	r.Header.Set("User-Agent", "arpeggio")
	answer, err := a.client.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close() // the status says it all
	return answer.StatusCode
}
