// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func (a *App) sshConfigVerb() verb {
	return verb{
		name: "ssh-config", args: "[NAME...]", about: "print ssh_config blocks for OpenSSH and its friends",
		more:  "Usable as it is: `evenkeel ssh-config >~/.ssh/shop`, and a line `Include shop` in ~/.ssh/config. Each machine is trusted by its own certificate authority only.",
		lacks: []string{"json"},
		run:   runSSHConfig,
	}
}

func runSSHConfig(ctx context.Context, c *call) error {
	p, err := c.open(ctx, placeOptions{identity: true})
	if err != nil {
		return err
	}
	defer p.close()
	list, err := p.Status(ctx, false)
	if err != nil {
		return err
	}
	for _, n := range c.args {
		if !slices.ContainsFunc(list, func(s providers.Status) bool { return s.Name == n || s.Kind == n }) {
			return usagef("cannot find machine %q: environment %s has %s", n, p.Plan.Env, names(list))
		}
	}
	key, err := c.keyFile(p.Plugin.Traits.Local)
	if err != nil {
		return err
	}
	trusted, err := c.knownHostsFile(p.Plan.Env)
	if err != nil {
		return err
	}
	var hosts []ssh.HostEntry
	known := ""
	for _, s := range list {
		if s.SSH == "" {
			continue
		}
		line, err := ssh.KnownHosts(s.HostName(), s.Labels[providers.LabelHostCA])
		if err != nil {
			return fmt.Errorf("cannot say how to trust machine %s: %w", s.Name, err)
		}
		entry, err := hostEntry(s.Machine)
		if err != nil {
			return err
		}
		entry.User, entry.IdentityFile, entry.KnownHosts = p.Plan.Access.User, key, trusted
		known += line // of all, whichever are asked for: the file is one for the environment
		if len(c.args) == 0 || slices.Contains(c.args, s.Name) || slices.Contains(c.args, s.Kind) {
			hosts = append(hosts, entry)
		}
	}
	if len(hosts) == 0 {
		return &usageError{text: fmt.Sprintf("no machine of environment %s can be reached now", p.Plan.Env), hint: "evenkeel status"}
	}
	if err := writeFile(trusted, []byte(known)); err != nil {
		return err
	}
	_, err = c.Stdout.Write(ssh.ConfigBlock(hosts))
	return err
}

func hostEntry(m providers.Machine) (ssh.HostEntry, error) {
	host, text, err := net.SplitHostPort(m.SSH)
	if err != nil {
		return ssh.HostEntry{}, fmt.Errorf("cannot use the SSH address of machine %s: %w", m.Name, err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return ssh.HostEntry{}, fmt.Errorf("cannot use the SSH address of machine %s: %w", m.Name, err)
	}
	return ssh.HostEntry{Names: []string{m.Name, m.HostName()}, HostName: host, Port: port, HostKeyAlias: m.HostName()}, nil
}

// knownHostsFile is where the certificate authorities of an environment's machines are kept for OpenSSH.
func (a *App) knownHostsFile(env string) (string, error) {
	state, err := a.stateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	return filepath.Join(dir, env+".known_hosts"), nil
}

// keyFile is the private key that OpenSSH is to use: the one named, else on local tiers the one made for this user; "" leaves it to OpenSSH.
func (c *call) keyFile(local bool) (string, error) {
	if f := c.flag.String("identity"); f != "" {
		return c.path(f), nil
	}
	if f := c.getenv("EVENKEEL_SSH_KEY_FILE"); f != "" {
		return c.path(f), nil
	}
	if !local {
		return "", nil
	}
	return c.generatedKey()
}

// writeFile replaces path in one step.
func writeFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
