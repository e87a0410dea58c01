// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

func (a *App) sshConfigVerb() verb {
	return verb{
		name: "ssh-config", args: "[NAME...]", about: "print ssh_config blocks for OpenSSH and its friends",
		more: "With --install ssh, and editors that work on machines by way of it (VS Code, JetBrains), find every machine by its full name, such as web-1.shop.laptop. " +
			"Each machine is trusted by its own certificate authority only.",
		flags: []cli.Flag{
			boolFlag("install", "keep the blocks in a file that ~/.ssh/config includes by a line at its top; up, start and down keep it current"),
			boolFlag("uninstall", "take the environment out of it again"),
		},
		lacks: []string{"json"},
		run:   runSSHConfig,
	}
}

func runSSHConfig(ctx context.Context, c *call) error {
	install, uninstall := c.flag.Bool("install"), c.flag.Bool("uninstall")
	if (install || uninstall) && len(c.args) > 0 || install && uninstall {
		return usagef("--install and --uninstall stand alone: they are about all machines of the environment")
	}
	if uninstall {
		_, plan, err := c.plan(false)
		if err != nil {
			return err
		}
		return c.uninstallSSH(plan.Env)
	}
	p, err := c.open(ctx, placeOptions{identity: true})
	if err != nil {
		return err
	}
	defer p.close()
	if install {
		return c.installSSH(ctx, p)
	}
	list, err := p.Status(ctx, false)
	if err != nil {
		return err
	}
	for _, n := range c.args {
		if !slices.ContainsFunc(list, func(s providers.Status) bool { return s.Name == n || s.Kind == n }) {
			return usagef("cannot find machine %q: environment %s has %s", n, p.Plan.Env, names(list))
		}
	}
	all, err := c.hostEntries(p, list)
	if err != nil {
		return err
	}
	var hosts []ssh.HostEntry
	for _, h := range all { // the ways to them
		if !slices.ContainsFunc(list, func(s providers.Status) bool { return s.Name == h.Names[0] }) {
			hosts = append(hosts, h)
		}
	}
	ways := len(hosts)
	for _, s := range list {
		asked := len(c.args) == 0 || slices.Contains(c.args, s.Name) || slices.Contains(c.args, s.Kind)
		if i := slices.IndexFunc(all, func(h ssh.HostEntry) bool { return h.Names[0] == s.Name }); asked && i >= 0 {
			hosts = append(hosts, all[i])
		}
	}
	if len(hosts) == ways {
		return &usageError{text: fmt.Sprintf("no machine of environment %s can be reached now", p.Plan.Env), hint: "evenkeel status"}
	}
	_, err = c.Stdout.Write(ssh.ConfigBlock(hosts))
	return err
}

// hostEntries are the machines that can be reached now, as OpenSSH finds them. The file that says whom to trust is written with them.
func (c *call) hostEntries(p *place, list []providers.Status) ([]ssh.HostEntry, error) {
	key, err := c.keyFile(p.Plugin.Traits.Local)
	if err != nil {
		return nil, err
	}
	trusted, err := c.knownHostsFile(p.Plan.Env)
	if err != nil {
		return nil, err
	}
	var hosts []ssh.HostEntry
	known := ""
	for _, s := range list {
		if s.Host.Given() {
			if s.SSH == "" {
				continue
			}
			entries, lines := p.existing(s.Machine, key, trusted, hosts)
			hosts, known = append(hosts, entries...), known+lines
			continue
		}
		entry, ok, err := p.SSHEntry(s.Machine, c.self())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		line, err := ssh.KnownHosts(s.HostName(), s.Labels[providers.LabelHostCA])
		if err != nil {
			return nil, fmt.Errorf("cannot say how to trust machine %s: %w", s.Name, err)
		}
		entry.User, entry.IdentityFile, entry.KnownHosts = p.Plan.Access.User, key, trusted
		known += line
		hosts = append(hosts, entry)
	}
	return hosts, writeFile(trusted, []byte(known))
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
	return c.user().GeneratedKey()
}

// writeFile replaces path in one step, for this user only.
func writeFile(path string, data []byte) error { return writeFileMode(path, data, 0o600) }

func writeFileMode(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
