// Command echo answers HTTP and UDP on one port and says who answers: in one line, the pod (POD_NAME or the hostname),
// the node (NODE_NAME, when set from spec.nodeName) and the client's address. Over UDP the datagram itself follows.
// The port is PORT, or 8080.
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
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hostname, _ := os.Hostname()
	who := fmt.Sprintf("pod=%s node=%s", cmp.Or(os.Getenv("POD_NAME"), hostname), os.Getenv("NODE_NAME"))
	address := ":" + cmp.Or(os.Getenv("PORT"), "8080")

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
