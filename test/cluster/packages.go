// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tool is a program that must be on PATH, and the Debian package that brings it.
type tool struct{ program, debian string }

func tools() []tool {
	return []tool{
		{"runc", "runc"},
		{"nft", "nftables"},
		{"ip", "iproute2"},
		{"bridge", "iproute2"},
		{"conntrack", "conntrack"},
		{"nsenter", "util-linux"},
		{"ping", "iputils-ping"},
		{"arping", "iputils-arping"},
		{"ndisc6", "ndisc6"},
		{"tcpdump", "tcpdump"},
		{"buildah", "buildah"},
		{"curl", "curl"},
		{"setcap", "libcap2-bin"},
		{"sysctl", "procps"},
		{"ethtool", "ethtool"},
		{"keepalived", "keepalived"},
	}
}

// installPackages installs the Debian packages that are missing. Where it cannot, the error names the command to run.
func installPackages(ctx context.Context, p *progress) error {
	var missing []string
	for _, t := range tools() {
		if findProgram(t.program) == "" {
			missing = append(missing, t.debian)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	byHand := "apt-get update && apt-get " + strings.Join(install, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing programs, on Debian brought by: %s", byHand)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages; run as root: %s", byHand)
	}
	p.step("installing Debian packages: %s", strings.Join(missing, " "))
	// An update that fails in part is no reason to stop: the lists at hand may do.
	_, updating := apt(ctx, "update")
	if _, err := apt(ctx, install...); err != nil {
		return errors.Join(err, updating)
	}
	return nil
}

func apt(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "env", append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"}, args...)...)
}

// findProgram looks on PATH and where administrators' programs are, which is not on every user's PATH.
func findProgram(name string) string {
	if file, err := exec.LookPath(name); err == nil {
		return file
	}
	for _, dir := range []string{"/usr/local/sbin/", "/usr/sbin/", "/sbin/"} {
		if st, err := os.Stat(dir + name); err == nil && st.Mode()&0o111 != 0 {
			return dir + name
		}
	}
	return ""
}
