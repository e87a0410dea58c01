// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

const (
	ansibleHosts = 40
	tuningHosts  = 16 // what forks are best is tried on

	// sameFacts is what stands for Ansible's setup and package_facts: system, kernel, processors, memory and what it runs on (setup's distribution, platform, hardware,
	// virtual, fips), the host's name, uptime, kernel command line, mounts, time, the files that setup reads (resolv.conf: dns; host keys: ssh_pub_keys; /etc/hosts,
	// machine-id), packages. Setup's interfaces, addresses, disks and environment are not read, since nothing is compared by them; without them setup takes Ansible as long.
	sameFacts = "os,os_own,boot,cmdline,mounts,time,time_own,etc_own,packages"

	readYAML = `evenkeel: 1
name: bench
id: be9c40
image: images/bench.yaml
machines: {web: {count: %d, stateless: true}}
tiers:
  production: {provider: hosts, config: {inventory: hosts.ini, known_hosts: known_hosts}}
`
	playbook = "- hosts: all\n  gather_facts: true\n  tasks: [{package_facts: {}}]\n"
)

// againstAnsible: reading machines behind a real OpenSSH, all of them this computer, so both ends share its processors. They are in one state, as those of one image are.
func (b *bench) againstAnsible(ctx context.Context) error {
	private, public, err := ssh.GenerateKey("bench")
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "sshd")
	server, err := serveSSH(ctx, dir, string(public), ansibleHosts)
	if err != nil {
		return err
	}
	defer server.close()
	inventory := "[web]\n"
	for i, address := range server.addresses {
		inventory += fmt.Sprintf("web-%d ansible_host=%s ansible_user=root\n", i+1, address)
	}
	s, err := b.site("ansible", map[string]string{
		"env.yaml": fmt.Sprintf(readYAML, ansibleHosts), "images/bench.yaml": "from: debian:12\npackages: [curl]\n", "hosts.ini": inventory,
		"known_hosts": server.known, "login": string(private), "play.yaml": playbook,
	})
	if err != nil {
		return err
	}
	rival, err := newAnsible(ctx, s)
	if err != nil {
		return err
	}
	same := []string{"facts", "--quiet", "--known", "off", "-o", "facts.jsonl", "--section", sameFacts}
	read := func(n int, args ...string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			r, err := s.run(ctx, args...)
			if err != nil {
				return 0, err
			}
			return r.time, s.allRead("facts.jsonl", n)
		}
	}
	first := func() (time.Duration, error) {
		if err := s.forget(); err != nil {
			return 0, err
		}
		r, err := s.audit(ctx, ansibleHosts)
		return r.time, err
	}
	again := func() (time.Duration, error) {
		r, err := s.audit(ctx, ansibleHosts)
		return r.time, err
	}
	play := func(limit string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return rival.play(ctx, limit, rival.forks) }
	}
	if err := b.against("Ansible's setup + package_facts, "+rival.tuned(), b.rounds, ansibleHosts, play("all"),
		contender{fmt.Sprintf("the same facts, a host of %d", ansibleHosts), times(0.1), read(ansibleHosts, same...)},
		contender{fmt.Sprintf("first audit: every section, a host of %d", ansibleHosts), told(), first},
		contender{fmt.Sprintf("audit again: nothing changed, a host of %d", ansibleHosts), times(0.05), again},
	); err != nil {
		return err
	}
	return b.against("Ansible's setup + package_facts", b.rounds, 1, play("web-1"), contender{"the same facts of one host alone", told(), read(1, append(same, "web-1")...)})
}

// allRead makes sure that a file has the facts of n machines, and that nothing in them is unknown.
func (s *site) allRead(name string, n int) error {
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read only
	read := 0
	err = parity.ReadSnapshots(f, name, func(s *parity.Snapshot) error {
		for _, section := range s.Sections {
			if section.Unknown != "" {
				return fmt.Errorf("%s of %s is unknown: %s", section.Name, s.Subject.Name, section.Unknown)
			}
		}
		if s.Unreachable != "" {
			return fmt.Errorf("%s is unreachable: %s", s.Subject.Name, s.Unreachable)
		}
		read++
		return nil
	})
	if err == nil && read != n {
		err = fmt.Errorf("%d machines were read, want %d", read, n)
	}
	return err
}

// ansible is Debian's, tuned: pipelining, one connection for all tasks of a host, no search for an interpreter, no compression, the forks that are quickest here.
type ansible struct {
	site  *site
	forks int
	tried []string
}

func newAnsible(ctx context.Context, s *site) (*ansible, error) {
	a := &ansible{site: s}
	config := fmt.Sprintf(`[defaults]
inventory = hosts.ini
interpreter_python = /usr/bin/python3
display_ok_hosts = False
private_key_file = %[1]s/login
local_tmp = %[1]s/local
[ssh_connection]
pipelining = True
control_path_dir = %[1]s/cp
ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=%[1]s/known_hosts -o StrictHostKeyChecking=yes -o Compression=no
`, s.dir)
	if err := os.WriteFile(filepath.Join(s.dir, "ansible.cfg"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	if _, err := a.play(ctx, "web-1", 1); err != nil { // Python's byte code
		return nil, err
	}
	var best time.Duration
	for _, forks := range []int{2, 4, 8, 16} {
		d, err := a.play(ctx, fmt.Sprintf("all[0:%d]", tuningHosts-1), forks)
		if err != nil {
			return nil, err
		}
		a.tried = append(a.tried, fmt.Sprintf("%d: %.1f s", forks, d.Seconds()))
		if best == 0 || d < best {
			best, a.forks = d, forks
		}
	}
	fmt.Fprintf(os.Stderr, "  Ansible with %d hosts, by forks: %s\n", tuningHosts, strings.Join(a.tried, ", "))
	return a, nil
}

func (a *ansible) tuned() string { return fmt.Sprintf("%d forks", a.forks) }

// play reads the hosts of a pattern, from no connection. Afterwards there is none either.
func (a *ansible) play(ctx context.Context, limit string, forks int) (time.Duration, error) {
	defer a.disconnect(ctx)
	env := append(a.site.env, "ANSIBLE_CONFIG="+filepath.Join(a.site.dir, "ansible.cfg"), "ANSIBLE_HOME="+filepath.Join(a.site.dir, "ansible"), "PYTHONDONTWRITEBYTECODE=")
	cmd := exec.CommandContext(ctx, "ansible-playbook", "--forks", fmt.Sprint(forks), "--limit", limit, "play.yaml")
	cmd.Dir, cmd.Env = a.site.dir, env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("ansible-playbook: %w\n%.2000s", err, said.String())
	}
	return time.Since(began), nil
}

// disconnect ends the connections that ControlPersist keeps.
func (a *ansible) disconnect(ctx context.Context) {
	sockets, _ := filepath.Glob(filepath.Join(a.site.dir, "cp", "*")) // the pattern is ours
	for _, socket := range sockets {
		_, _ = timed(context.WithoutCancel(ctx), a.site.dir, nil, "ssh", "-O", "exit", "-o", "ControlPath="+socket, "bench") // gone already, or in a minute
	}
}
