// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"
)

// needTimeout bounds one attempt to reach what a process needs.
const needTimeout = time.Second

// available says whether every need is met; see [Process].
func available(ctx context.Context, needs []string) bool {
	ctx, cancel := context.WithTimeout(ctx, needTimeout)
	defer cancel()
	for _, need := range needs {
		met := accepts
		if strings.HasPrefix(need, "https://") {
			met = answersOK
		}
		if !met(ctx, need) {
			return false
		}
	}
	return true
}

// accepts says whether a need written as "network:address" takes a connection.
func accepts(ctx context.Context, need string) bool {
	network, address, _ := strings.Cut(need, ":")
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// answersOK says whether a URL is answered with status 200. Whose answer it is does not matter here: the certificate is
// not verified.
func answersOK(ctx context.Context, url string) bool {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} //nolint:gosec // see above
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
