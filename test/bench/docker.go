// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// dockerYAML gives the machine what the container by hand has: all processors. With one of two, which is the default, systemd takes 50 ms longer to boot, by hand too.
const dockerYAML = `evenkeel: 1
name: benchdocker
id: be9cd0
image: images/box.yaml
machines:
  one: {cpus: %d, memory: 512MiB, stateless: true}
tiers:
  ci: {provider: docker}
`

// handRun is the container that somebody writes down by hand who wants systemd and SSH in it.
const handRun = "evenkeel-bench-by-hand"

// docker: one machine against docker run of the same tree, until SSH answers a command; and taking each away.
func (b *bench) docker(ctx context.Context) error {
	dir := filepath.Join(b.dir, "docker")
	if err := os.MkdirAll(filepath.Join(dir, "images"), 0o755); err != nil {
		return err
	}
	for name, content := range map[string]string{"env.yaml": fmt.Sprintf(dockerYAML, runtime.NumCPU()), "images/box.yaml": "from: debian:12\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if _, err := b.upAndDown(ctx, dir)(); err != nil { // brings the image to docker
		return err
	}
	hand, err := newHand(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _, _ = hand.remove(context.WithoutCancel(ctx)) }()
	if err := b.pair("env up --tier ci, one machine, image loaded", "docker run by hand", times(1.3), b.rounds, b.upAndDown(ctx, dir), func() (time.Duration, error) {
		took, err := hand.run(ctx)
		if err != nil {
			return 0, err
		}
		_, err = hand.remove(ctx)
		return took, err
	}); err != nil {
		return err
	}
	return b.pair("env down --tier ci, one machine", "docker rm -f", times(1.3), b.rounds, func() (time.Duration, error) {
		if _, err := b.evenkeel(ctx, dir, "up"); err != nil {
			return 0, err
		}
		return b.evenkeel(ctx, dir, "down", "--data")
	}, func() (time.Duration, error) {
		if _, err := hand.run(ctx); err != nil {
			return 0, err
		}
		return hand.remove(ctx)
	})
}

// hand is what somebody does by hand.
type hand struct {
	dir   string
	args  []string
	image string
}

func newHand(ctx context.Context, dir string) (*hand, error) {
	h := &hand{dir: dir}
	out, err := exec.CommandContext(ctx, "docker", "images", "-q", "--no-trunc", "evenkeel/box").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find the image: %w", err)
	}
	h.image, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	for _, key := range []string{"host", "id"} {
		if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	// The usual advice, the host's control groups mounted for writing, would leave groups behind on this computer.
	groups := "/sys/fs/cgroup/systemd"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		groups = "/sys/fs/cgroup"
	}
	h.args = []string{
		"run", "-d", "--name", handRun, "--hostname", "one-1", "--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
		"--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "seccomp=unconfined", "--memory", "512m", "-p", "127.0.0.1::22",
		"-v", filepath.Join(dir, "host") + ":/etc/ssh/ssh_host_ed25519_key:ro", "-v", filepath.Join(dir, "id.pub") + ":/etc/evenkeel/authorized_keys/evenkeel:ro",
		"--entrypoint", "/bin/sh", h.image, "-c", "mount -o remount,rw,bind " + groups + " && exec /sbin/init",
	}
	return h, nil
}

// run starts the container and returns how long it took until SSH answered a command.
func (h *hand) run(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	if out, err := exec.CommandContext(ctx, "docker", h.args...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("docker run: %w: %s", err, out)
	}
	out, err := exec.CommandContext(ctx, "docker", "inspect", "-f", "{{json .NetworkSettings.Ports}}", handRun).Output()
	if err != nil {
		return 0, err
	}
	var ports map[string][]struct{ HostPort string }
	if err := json.Unmarshal(out, &ports); err != nil || len(ports["22/tcp"]) == 0 {
		return 0, fmt.Errorf("docker run published nothing: %w: %s", err, out)
	}
	for {
		ssh := exec.CommandContext(ctx, "ssh", "-p", ports["22/tcp"][0].HostPort, "-i", filepath.Join(h.dir, "id"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "evenkeel@127.0.0.1", "true")
		if ssh.Run() == nil {
			return time.Since(began), nil
		}
		if err := ctx.Err(); err != nil {
			return 0, errors.Join(errors.New("the container does not answer"), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *hand) remove(ctx context.Context) (time.Duration, error) {
	return timed(ctx, h.dir, nil, "docker", "rm", "-f", handRun)
}
