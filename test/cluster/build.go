// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// component is a set of foreign programs built from one Go module, which pins their versions. The modules lie below
// test/cluster, apart from the project's own, so that their requirements never mix.
type component struct {
	name string
	// from is the module whose version names the component.
	from string
	// version gives what the programs say of themselves: linker variables for a version such as v1.2.3.
	version func(v string) []string
	tags    string
	// packages are the programs' import paths, by program name.
	packages map[string]string
	order    []string
}

func components() []component {
	return []component{
		{
			name: "kubernetes", from: "k8s.io/kubernetes",
			version: func(v string) []string {
				parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
				const pkg = "k8s.io/component-base/version."
				return []string{pkg + "gitVersion=" + v, pkg + "gitMajor=" + parts[0], pkg + "gitMinor=" + parts[1], pkg + "gitTreeState=clean"}
			},
			packages: map[string]string{
				"etcd":                    "go.etcd.io/etcd/server/v3",
				"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
				"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
				"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
				"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
				"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
				"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
			},
			order: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"},
		},
		{
			name: "containerd", from: "github.com/containerd/containerd/v2",
			version: func(v string) []string { return []string{"github.com/containerd/containerd/v2/version.Version=" + v} },
			tags:    "no_btrfs,no_devmapper,no_zfs",
			packages: map[string]string{
				"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
				"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
				"bridge":                  "github.com/containernetworking/plugins/plugins/main/bridge",
				"host-local":              "github.com/containernetworking/plugins/plugins/ipam/host-local",
				"loopback":                "github.com/containernetworking/plugins/plugins/main/loopback",
				"portmap":                 "github.com/containernetworking/plugins/plugins/meta/portmap",
			},
			order: []string{"containerd", "containerd-shim-runc-v2", "ctr", "bridge", "host-local", "loopback", "portmap"},
		},
	}
}

// programs are the project's own programs that the lab runs, as packages below test/cluster.
func programs() []string { return []string{"lab-init", "lab-probe", "images/pause", "images/echo"} }

// programLibraries are the packages of this project that they import, as folders below test/cluster.
func programLibraries() []string { return []string{"machine", "probe", "capture"} }

// Binaries says where the programs are.
type Binaries struct {
	// Kubernetes holds etcd, the Kubernetes programs and kubectl; Containerd containerd, its shim, ctr and the CNI
	// plugins; Programs this project's own.
	Kubernetes string `json:"kubernetes"`
	Containerd string `json:"containerd"`
	Programs   string `json:"programs"`
	// KubernetesVersion is as kubectl says it: v1.2.3.
	KubernetesVersion string `json:"kubernetesVersion"`
}

// Build installs the Debian packages that are missing and builds the programs that are not in the cache. Both take a
// second when nothing is to be done. Progress goes to out, which may be nil.
func Build(ctx context.Context, out io.Writer) (Binaries, error) {
	return build(ctx, newProgress(out))
}

func build(ctx context.Context, p *progress) (Binaries, error) {
	if err := installPackages(ctx, p); err != nil {
		return Binaries{}, err
	}
	root, err := SourceRoot()
	if err != nil {
		return Binaries{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return Binaries{}, err
	}
	var b Binaries
	for _, c := range components() {
		dir, version, err := buildComponent(ctx, p, c, filepath.Join(root, "test", "cluster", c.name), cache)
		if err != nil {
			return Binaries{}, err
		}
		switch c.name {
		case "kubernetes":
			b.Kubernetes, b.KubernetesVersion = dir, version
		case "containerd":
			b.Containerd = dir
		}
	}
	b.Programs, err = buildPrograms(ctx, p, root, cache)
	return b, err
}

// buildComponent builds what is missing of a component and gives its directory, which is named by version and by a hash
// of all that goes into the build. Each program gets its name there only when it is whole.
func buildComponent(ctx context.Context, p *progress, c component, module, cache string) (dir, version string, err error) {
	gomod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", "", err
	}
	gosum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", "", err
	}
	if version = requiredVersion(string(gomod), c.from); version == "" {
		return "", "", fmt.Errorf("%s does not require %s", filepath.Join(module, "go.mod"), c.from)
	}
	ldflags := "-s -w"
	for _, v := range c.version(version) {
		ldflags += " -X " + v
	}
	flags := []string{"-trimpath", "-buildvcs=false", "-tags=" + c.tags, "-ldflags=" + ldflags}
	sum := sha256.Sum256([]byte(strings.Join(append(flags, string(gomod), string(gosum), runtime.Version(), runtime.GOARCH), "\x00")))
	dir = filepath.Join(cache, c.name+"-"+version+"-"+hex.EncodeToString(sum[:6]))
	for _, name := range c.order {
		target := filepath.Join(dir, name)
		if _, err := os.Stat(target); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		p.step("building %s (%s %s) ...", name, c.name, version)
		started := time.Now()
		if err := goBuild(ctx, module, target, append(flags, c.packages[name])...); err != nil {
			return "", "", err
		}
		p.step("built %s in %.0f s", name, time.Since(started).Seconds())
	}
	return dir, version, nil
}

// buildPrograms builds the project's own programs into a directory named by a hash of their sources.
func buildPrograms(ctx context.Context, p *progress, root, cache string) (string, error) {
	sum, err := hashSources(root)
	if err != nil {
		return "", fmt.Errorf("hashing the sources: %w", err)
	}
	dir := filepath.Join(cache, "programs-"+sum)
	if err := pruneUnused(cache, "programs-", dir); err != nil {
		return "", err
	}
	for _, pkg := range programs() {
		target := filepath.Join(dir, path.Base(pkg))
		if _, err := os.Stat(target); err == nil {
			continue
		}
		if err := goBuild(ctx, root, target, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "./test/cluster/"+pkg); err != nil {
			return "", err
		}
		p.step("built %s", path.Base(pkg))
	}
	return dir, nil
}

// goBuild builds one program in a module and gives it its name when it is done.
func goBuild(ctx context.Context, module, target string, args ...string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	unfinished := fmt.Sprintf("%s.%d", target, os.Getpid())
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", unfinished}, args...)...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		os.Remove(unfinished)
		return fmt.Errorf("%s (in %s): %w\n%s", strings.Join(cmd.Args, " "), module, err, out)
	}
	return os.Rename(unfinished, target)
}

// requiredVersion finds the version a go.mod requires of a module; empty when it does not.
func requiredVersion(gomod, module string) string {
	lines := bufio.NewScanner(strings.NewReader(gomod))
	for lines.Scan() {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1]
		}
	}
	return ""
}
