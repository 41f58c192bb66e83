// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// node is a namespace with a port in a process of its own, and the generator's end of its veth.
type node struct {
	vips   int
	ns     namespace
	cables []*cable // by family
	// What is asked on it, by family: the VIPs, the kernel's own address, and addresses nobody has.
	ours, kernels, foreign [][][]byte

	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// newNode makes the node and plugs the generator into it.
func newNode(ctx context.Context, generator namespace, vips int) (n *node, err error) {
	n = &node{vips: vips}
	if n.ns, err = newNamespace(ctx, "n"+strconv.Itoa(vips)); err != nil {
		return n, err
	}
	name := "v" + strconv.Itoa(vips)
	err = errors.Join(
		generator.ip(ctx, "link add "+name+" type veth peer name eth0 netns "+string(n.ns), "link set "+name+" arp off up"),
		n.ns.sysctl(ctx, "net.ipv6.conf.eth0.accept_dad=0"),
		n.ns.ip(ctx, "link set eth0 up"))
	if err != nil {
		return n, err
	}
	for _, f := range families {
		if err := n.ns.ip(ctx, "addr add "+f.own.String()+" dev eth0"); err != nil {
			return n, err
		}
		if err := n.prepare(generator, name, f); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n *node) prepare(generator namespace, name string, f family) error {
	err := generator.in(func() error {
		c, err := plug(name, f)
		if err == nil {
			n.cables = append(n.cables, c)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, what := range []struct {
		to    *[][][]byte
		addrs []netip.Addr
	}{
		{&n.ours, some(f.vip, n.vips)},
		{&n.kernels, []netip.Addr{f.own.Addr()}},
		{&n.foreign, some(f.foreign, 4*hosts)},
	} {
		frames, err := f.questions(what.addrs)
		if err != nil {
			return err
		}
		*what.to = append(*what.to, frames)
	}
	return nil
}

// start runs the port until close.
func (n *node) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// #nosec G204 -- this program itself
	n.cmd = exec.CommandContext(ctx, self)
	n.cmd.Env = append(os.Environ(), portEnv+"="+strconv.Itoa(n.vips))
	n.cmd.Stderr = os.Stderr
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	n.out = bufio.NewScanner(out)
	if err := n.ns.in(n.cmd.Start); err != nil {
		return err
	}
	if line, err := n.line(); err != nil || line != "ready" {
		return fmt.Errorf("the port for %d VIPs is not ready: %q, %w", n.vips, line, err)
	}
	return nil
}

func (n *node) line() (string, error) {
	if !n.out.Scan() {
		return "", errors.Join(io.ErrUnexpectedEOF, n.out.Err())
	}
	return n.out.Text(), nil
}

// tell has the port's process obey a command, and gives its answer.
func (n *node) tell(command string) (string, error) {
	if _, err := fmt.Fprintln(n.in, command); err != nil {
		return "", err
	}
	return n.line()
}

func (n *node) status() (s status, err error) {
	line, err := n.tell(cmdStats)
	if err == nil {
		err = json.Unmarshal([]byte(line), &s)
	}
	return s, err
}

// during sends a load and gives what it cost the port.
func (n *node) during(c *cable, l load) (answers, cost, error) {
	before, err := n.status()
	if err != nil {
		return answers{}, cost{}, err
	}
	a, err := c.send(l)
	if err != nil {
		return a, cost{}, err
	}
	after, err := n.status()
	return a, cost{
		cpu:     (after.CPU - before.CPU).Seconds() / a.took.Seconds(),
		mallocs: float64(after.Mallocs-before.Mallocs) / float64(max(1, after.Replies-before.Replies)),
		frames:  after.Frames - before.Frames,
		rss:     after.RSS,
	}, err
}

// cost is what a load cost a port's process.
type cost struct {
	cpu     float64 // seconds of it a second
	mallocs float64 // a reply
	frames  uint64  // that woke it
	rss     int     // KiB
}

func (n *node) close() error {
	var errs []error
	if n.cmd != nil && n.cmd.Process != nil {
		timer := time.AfterFunc(5*time.Second, func() { _ = n.cmd.Process.Kill() })
		errs = append(errs, n.in.Close(), n.cmd.Wait())
		timer.Stop()
	}
	if n.ns != "" {
		errs = append(errs, n.ns.remove())
	}
	return errors.Join(errs...)
}
