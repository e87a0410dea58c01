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
	"strings"

	"github.com/evenkeel/evenkeel/providers/ssh"
)

// The two lines that ~/.ssh/config gets at its top: OpenSSH takes the first value it finds, and a Host block would swallow an Include behind it.
const includeNote = "# Machines of Evenkeel environments; `evenkeel ssh-config --uninstall` takes these two lines out."

// installedDir holds one file for each environment whose machines OpenSSH knows.
func (a *App) installedDir() (string, error) {
	state, err := a.stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "ssh", "config.d"), nil
}

func (a *App) installedFile(env string) (string, error) {
	dir, err := a.installedDir()
	return filepath.Join(dir, env+".conf"), err
}

// includeLine is what ~/.ssh/config says.
func includeLine(dir string) (string, error) {
	if strings.ContainsAny(dir, "\"\\*?[%\n") {
		return "", fmt.Errorf("cannot name %s in ~/.ssh/config: it holds a character that OpenSSH cannot quote", dir)
	}
	return `Include "` + dir + `/*.conf"`, nil
}

// installSSH lets OpenSSH, and the editors that go by it, find the environment's machines by their full names.
func (c *call) installSSH(ctx context.Context, p *place) error {
	file, err := c.installedFile(p.Plan.Env)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("cannot make folder %s: %w", filepath.Dir(file), err)
	}
	hosts, err := c.writeInstalled(ctx, p, file)
	if err != nil {
		return err
	}
	line, err := includeLine(filepath.Dir(file))
	if err != nil {
		return err
	}
	changed, err := c.editSSHConfig(func(text string) string {
		return includeNote + "\n" + line + "\n" + without(text, line)
	})
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if err := c.printf("%s\n", h.Names[0]); err != nil {
			return err
		}
	}
	if changed && !c.quiet() {
		fmt.Fprintln(c.Stderr, "evenkeel: ~/.ssh/config includes the machines now; `evenkeel up`, `start` and `down` keep them current")
	}
	return nil
}

// uninstallSSH takes the environment out again, and with the last one our lines.
func (c *call) uninstallSSH(env string) error {
	file, err := c.installedFile(env)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot uninstall: %w", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.conf")); err != nil || len(left) > 0 {
		return err
	}
	line, err := includeLine(filepath.Dir(file))
	if err != nil {
		return err
	}
	_, err = c.editSSHConfig(func(text string) string { return without(text, line) })
	return err
}

// without is an ssh_config less our two lines.
func without(text, line string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(l string) bool {
		l = strings.TrimSpace(l)
		return l == line || l == includeNote
	})
	return strings.Join(lines, "")
}

// editSSHConfig replaces ~/.ssh/config in one step by what edit makes of it. A symbolic link stays one, and modes stay.
func (c *call) editSSHConfig(edit func(string) string) (changed bool, err error) {
	home := c.getenv("HOME")
	if !filepath.IsAbs(home) {
		return false, errors.New("cannot find ~/.ssh/config: HOME is no absolute path")
	}
	path := filepath.Join(home, ".ssh", "config")
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if _, is := os.Lstat(path); is == nil {
		return false, fmt.Errorf("cannot change %s: %w", path, err) // a link to nowhere
	}
	mode := fs.FileMode(0o600)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return false, fmt.Errorf("cannot make folder %s: %w", filepath.Dir(path), err)
		}
	case err != nil:
		return false, fmt.Errorf("cannot change %s: %w", path, err)
	default:
		info, err := os.Stat(path)
		if err != nil {
			return false, fmt.Errorf("cannot change %s: %w", path, err)
		}
		mode = info.Mode().Perm()
	}
	text := edit(string(old))
	if text == string(old) {
		return false, nil
	}
	return true, writeFileMode(path, []byte(text), mode)
}

// writeInstalled writes the environment's file.
func (c *call) writeInstalled(ctx context.Context, p *place, file string) ([]ssh.HostEntry, error) {
	list, err := p.Status(ctx, false)
	if err != nil {
		return nil, err
	}
	hosts, err := c.hostEntries(p, list)
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		if len(hosts[i].Names) > 1 { // a jump host has its full name alone
			hosts[i].Names = hosts[i].Names[1:] // web-1 alone may be another environment's
		}
	}
	head := fmt.Sprintf("# Environment %s of %s, written by `evenkeel ssh-config --install`; up, start and down write it anew.\n", p.Plan.Env, oneLine(p.Definition.Dir))
	return hosts, writeFile(file, append([]byte(head), ssh.ConfigBlock(hosts)...))
}

// refreshSSH writes the environment's file anew where it is installed, and what `run` gave its command. That it could not is told, and no failure of the verb.
func (c *call) refreshSSH(ctx context.Context, p *place) {
	if ctx.Err() != nil {
		return
	}
	if err := c.user().RefreshScratches(ctx, p.Session); err != nil {
		fmt.Fprintf(c.Stderr, "evenkeel: cannot tell who uses this copy of its machines: %s\n", oneLine(err.Error()))
	}
	file, err := c.installedFile(p.Plan.Env)
	if err == nil {
		if _, err = os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	if err == nil {
		_, err = c.writeInstalled(ctx, p, file)
	}
	if err != nil {
		fmt.Fprintf(c.Stderr, "evenkeel: cannot tell OpenSSH of the machines: %s\n", oneLine(err.Error()))
	}
}
