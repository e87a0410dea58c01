// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The one machine of the comparisons, the same for every side. The user vagrant, its published key and host keys made at first boot are
// what Vagrant needs in a box; they cost the others no process.
const benchYAML = `evenkeel: 1
name: bench
id: be9c40
image: images/bench.yaml
machines:
  one: {cpus: 2, memory: 1GiB, disk: 4GiB, stateless: true}
tiers:
  laptop: {provider: libvirt}
`

const (
	benchMemory = 1024 // MiB, as above
	benchCPUs   = 2
)

func benchRecipe(packages string) string {
	return `from: debian:12
packages: [` + packages + `]
users: {vagrant: {shell: /bin/bash}}
files:
  /etc/sudoers.d/vagrant: {content: "vagrant ALL=(ALL) NOPASSWD: ALL\n", mode: "0440"}
  /etc/evenkeel/vagrant_key: {source: files/vagrant.pub, mode: "0644"}
  /etc/ssh/sshd_config.d/20-vagrant.conf: {content: "Match User vagrant\nAuthorizedKeysFile /etc/evenkeel/vagrant_key\n"}
  /etc/systemd/system/hostkey.service: {content: "[Unit]\nConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\nAfter=evenkeel-seed.service\nBefore=ssh.service\n[Service]\nType=oneshot\nExecStart=ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key\n[Install]\nWantedBy=ssh.service\n"}
services: {hostkey: enabled}
`
}

// project writes the bench's project and locks its recipe.
func (b *bench) project(ctx context.Context) (string, error) {
	dir := filepath.Join(b.dir, "project")
	if err := os.MkdirAll(filepath.Join(dir, "images", "files"), 0o755); err != nil {
		return "", err
	}
	keys, err := filepath.Glob("/usr/share/rubygems-integration/all/gems/vagrant-*/keys/vagrant.pub")
	if err != nil || len(keys) == 0 {
		return "", fmt.Errorf("cannot find the public key that Debian's vagrant brings: %w", err)
	}
	key, err := os.ReadFile(keys[0])
	if err != nil {
		return "", err
	}
	for name, content := range map[string]string{
		"env.yaml":                 benchYAML,
		"images/bench.yaml":        benchRecipe("curl"),
		"images/files/vagrant.pub": string(key),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	_, err = b.evenkeel(ctx, dir, "image", "build")
	return dir, err
}

// evenkeel runs our command in dir and returns how long it took.
func (b *bench) evenkeel(ctx context.Context, dir string, args ...string) (time.Duration, error) {
	return timed(ctx, dir, nil, filepath.Join(b.bin, "evenkeel"), args...)
}

func timed(ctx context.Context, dir string, env []string, program string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s %v: %w\n%s", program, args, err, said.String())
	}
	return time.Since(began), nil
}

// upAndDown times an up and takes the machine away again.
func (b *bench) upAndDown(ctx context.Context, dir string) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		took, err := b.evenkeel(ctx, dir, "up")
		if err != nil {
			return 0, err
		}
		_, err = b.evenkeel(ctx, dir, "down", "--data")
		return took, err
	}
}

// virtualMachine: bringing up one machine against raw QEMU.
func (b *bench) virtualMachine(ctx context.Context) error {
	dir, err := b.project(ctx)
	if err != nil {
		return err
	}
	up := b.upAndDown(ctx, dir)
	// The first up brings the image to libvirt; what is measured is a cold machine, not that copy.
	if _, err := up(); err != nil {
		return err
	}
	raw, err := newRawQEMU(ctx, b, dir)
	if err != nil {
		return err
	}
	return b.pair("cold env up, one machine", "raw QEMU by hand", times(1.25), b.rounds, up, func() (time.Duration, error) { return raw.boot(ctx) })
}

// againstVagrant: the same machine, and then looking at it.
func (b *bench) againstVagrant(ctx context.Context) error {
	dir, err := b.project(ctx)
	if err != nil {
		return err
	}
	up := b.upAndDown(ctx, dir)
	v, err := newVagrant(ctx, b, dir)
	if err != nil {
		return err
	}
	defer v.close(ctx)
	if err := b.pair("cold env up, one machine", "vagrant up", times(0.4), b.rounds, up, func() (time.Duration, error) { return v.up(ctx) }); err != nil {
		return err
	}
	return b.look(ctx, dir, v)
}

// look: status and a command over SSH, both sides with one machine running.
func (b *bench) look(ctx context.Context, dir string, v *vagrant) error {
	if _, err := b.evenkeel(ctx, dir, "up"); err != nil {
		return err
	}
	defer func() { _, _ = b.evenkeel(context.WithoutCancel(ctx), dir, "down", "--data") }()
	if _, err := v.run(ctx, "up"); err != nil {
		return err
	}
	defer func() { _, _ = v.run(context.WithoutCancel(ctx), "destroy", "-f") }()
	ours := func(args ...string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return b.evenkeel(ctx, dir, args...) }
	}
	theirs := func(args ...string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return v.run(ctx, args...) }
	}
	if err := b.pair("env status", "vagrant status", times(0.1), b.rounds, ours("status"), theirs("status")); err != nil {
		return err
	}
	config := filepath.Join(b.dir, "ssh_config")
	block, err := exec.CommandContext(ctx, filepath.Join(b.bin, "evenkeel"), "ssh-config", "-f", filepath.Join(dir, "env.yaml")).Output()
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, block, 0o600); err != nil {
		return err
	}
	var plain []float64
	for range b.rounds {
		d, err := timed(ctx, dir, nil, "ssh", "-F", config, "one-1", "true")
		if err != nil {
			return err
		}
		plain = append(plain, d.Seconds())
	}
	limit := median(plain) + 0.1
	t := target{fmt.Sprintf("<= 0.3x, or OpenSSH's %.2f s + 0.1 s", limit-0.1), func(o, t float64) bool { return o <= max(0.3*t, limit) }}
	return b.pair("env ssh one-1 -- true", "vagrant ssh -c true", t, b.rounds, ours("ssh", "one-1", "--", "true"), theirs("ssh", "-c", "true"))
}

// artefacts are the files of the bench's image, as `image show --json` tells them.
func (b *bench) artefacts(ctx context.Context, dir string) (map[string]struct{ Path string }, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(b.bin, "evenkeel"), "image", "show", "bench", "--json", "-f", filepath.Join(dir, "env.yaml")).Output()
	if err != nil {
		return nil, err
	}
	var shown struct {
		Artefacts map[string]struct{ Path string }
	}
	return shown.Artefacts, json.Unmarshal(out, &shown)
}
