// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/bench/figure"
)

// bench is a run.
type bench struct {
	options options
	client  namespace
	nodes   []*node // for 1, 100 and 5,000 VIPs
	figures []figure.Figure
}

var sizes = []int{1, 100, 5000}

func (b *bench) few() *node  { return b.nodes[0] }
func (b *bench) many() *node { return b.nodes[len(b.nodes)-1] }

// settle is for what the kernel does after thousands of groups were joined: it reports each twice.
const settle = 3 * time.Second

func (b *bench) open(ctx context.Context) (err error) {
	if b.client, err = newNamespace(ctx, "client"); err != nil {
		return err
	}
	if err := b.client.sysctl(ctx, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"); err != nil {
		return err
	}
	for _, vips := range sizes {
		n, err := newNode(ctx, b.client, vips)
		b.nodes = append(b.nodes, n)
		if err != nil {
			return err
		}
		if err := n.start(ctx); err != nil {
			return err
		}
		progress("a port speaks for %d VIPs of each family", vips)
	}
	return wait(ctx, settle)
}

func (b *bench) close() error {
	var errs []error
	for _, n := range b.nodes {
		errs = append(errs, n.close())
	}
	if b.client != "" {
		errs = append(errs, b.client.remove())
	}
	return errors.Join(errs...)
}

func (b *bench) run(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"latency", b.latency},
		{"announce", b.announce},
		{"rate", b.highest},
		{"flood", b.flood}, // the last: it takes the filters off
	} {
		if !b.options.wants(s.name) {
			continue
		}
		start := time.Now()
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		progress("%s took %v", s.name, time.Since(start).Round(time.Second))
	}
	return nil
}

func (b *bench) add(f ...figure.Figure) { b.figures = append(b.figures, f...) }

// report prints all figures and writes them to bin/bench/wire.jsonl.
func (b *bench) report() (err error) {
	var rows [][]string
	for _, f := range b.figures {
		row := []string{f.Name, number(f.Value) + " " + f.Unit, "", "", ""}
		if f.Target != nil {
			row[2] = number(*f.Target)
			row[3] = map[bool]string{true: "yes", false: "NO"}[*f.Holds]
		}
		if f.PeerValue != nil {
			row[4] = number(*f.PeerValue) + " (" + f.Peer + ")"
		}
		rows = append(rows, row)
	}
	fmt.Print(figure.Table([]string{"what", "value", "target", "holds", "beside"}, rows))
	path := filepath.Join("bin", "bench", "wire.jsonl")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return figure.WriteLines(out, b.figures)
}

// number has three digits that count.
func number(x float64) string {
	if x >= 100 || x == float64(int(x)) {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
