// SPDX-License-Identifier: Apache-2.0

// Command echo answers HTTP and UDP on one port and says who answers: in one line, the pod (POD_NAME or the hostname),
// the node (NODE_NAME, when set from spec.nodeName) and the client's address. Over UDP the datagram itself follows.
// The port is PORT, or 8080; it listens on all addresses or, each over UDP only, on those of LISTEN (separated by
// commas), which the host need not have yet.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hostname, _ := os.Hostname()
	who := fmt.Sprintf("pod=%s node=%s", cmp.Or(os.Getenv("POD_NAME"), hostname), os.Getenv("NODE_NAME"))
	port := cmp.Or(os.Getenv("PORT"), "8080")
	if addresses := os.Getenv("LISTEN"); addresses != "" {
		return echoOn(ctx, strings.Split(addresses, ","), port, who)
	}
	address := ":" + port

	packets, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go echoPackets(packets, who)

	server := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s client=%s\n", who, r.RemoteAddr)
	})}
	stopped := make(chan error, 1)
	go func() { stopped <- server.ListenAndServe() }()
	select {
	case err = <-stopped:
	case <-ctx.Done():
		// Clients that were sent here a moment ago are still served.
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = server.Shutdown(grace)
		packets.Close()
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// echoOn answers UDP on some addresses alone: what comes to an address is answered from it.
func echoOn(ctx context.Context, addresses []string, port, who string) int {
	anywhere := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			// It serves IPv6 too.
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_FREEBIND, 1)
		})
		return errors.Join(err, failed)
	}}
	for _, a := range addresses {
		packets, err := anywhere.ListenPacket(ctx, "udp", net.JoinHostPort(a, port))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go echoPackets(packets, who)
	}
	<-ctx.Done()
	return 0
}

func echoPackets(conn net.PacketConn, who string) {
	buffer := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue // an ICMP error of an earlier answer
		}
		_, _ = conn.WriteTo(append([]byte(fmt.Sprintf("%s client=%s\n", who, from)), buffer[:n]...), from)
	}
}
