// SPDX-License-Identifier: Apache-2.0

package session

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// Host is where a machine's ports are reached from here: loopback on local tiers, else the machine's own address. "" where that is not known.
func (s *Session) Host(m providers.Machine) string {
	if s.Plugin.Traits.Local {
		return "127.0.0.1"
	}
	if host, _, err := net.SplitHostPort(m.SSH); err == nil { // where it answered, so it can be reached there
		return host
	}
	return m.Address
}

// Addr is host:port at which a port of m is reached from here; false where the definition does not let that in from anywhere.
func (s *Session) Addr(m providers.Machine, port int, proto string) (string, bool) {
	for _, p := range s.published(m) {
		if p.Port == port && p.Proto == proto {
			return net.JoinHostPort(s.Host(m), strconv.Itoa(p.HostPort)), true
		}
	}
	return "", false
}

// published are the ports of m that can be reached from here, HostPort being where.
func (s *Session) published(m providers.Machine) []providers.Port {
	if s.Plugin.Traits.Local {
		return m.Ports
	}
	var ports []providers.Port
	for _, planned := range s.Plan.Machines {
		for _, p := range planned.Publish {
			if planned.Name == m.Name {
				ports = append(ports, providers.Port{Port: p.Port, Proto: p.Proto, HostPort: p.Port})
			}
		}
	}
	return ports
}

// Variables tell a program where the environment is, as NAME=VALUE: EVENKEEL_ENV, EVENKEEL_COPY (what --as takes), EVENKEEL_TIER, EVENKEEL_FILE (the definition),
// EVENKEEL_MACHINES (names, with spaces between), and of each machine, by its name in capitals with _ for -: EVENKEEL_WEB_1_ADDR, its address from here; _SSH,
// host:port; _PORT_80, where its port 80 is reached at that address (_PORT_53_UDP for UDP). What a machine does not have has no variable.
func (s *Session) Variables(machines []providers.Machine) []string {
	var names, list []string
	for _, m := range sortedByPlan(machines) {
		names = append(names, m.Name)
		word := "EVENKEEL_" + strings.ToUpper(strings.ReplaceAll(m.Name, "-", "_"))
		if host := s.Host(m); host != "" {
			list = append(list, word+"_ADDR="+host)
		}
		if m.SSH != "" {
			list = append(list, word+"_SSH="+m.SSH)
		}
		for _, p := range s.published(m) {
			name := fmt.Sprintf("%s_PORT_%d", word, p.Port)
			if p.Proto != "tcp" {
				name += "_" + strings.ToUpper(p.Proto)
			}
			if p.HostPort != 0 {
				list = append(list, fmt.Sprintf("%s=%d", name, p.HostPort))
			}
		}
	}
	return append([]string{
		"EVENKEEL_ENV=" + s.Plan.Env, "EVENKEEL_COPY=" + s.Copy(), "EVENKEEL_TIER=" + s.Plan.Tier, "EVENKEEL_FILE=" + s.Definition.File,
		"EVENKEEL_MACHINES=" + strings.Join(names, " "),
	}, list...)
}

// SSHEntry is how OpenSSH finds a machine; User, IdentityFile and KnownHosts are the caller's to say. A machine without an address is reached by evenkeel, the command's
// file, which carries the connection; false where there is no way, or evenkeel is "".
func (s *Session) SSHEntry(m providers.Machine, evenkeel string) (_ ssh.HostEntry, ok bool, err error) {
	entry := ssh.HostEntry{Names: []string{m.Name, m.HostName()}, HostName: m.HostName(), HostKeyAlias: m.HostName()}
	if m.SSH == "" {
		if _, dials := providers.As[providers.Dialer](s.Provider); !dials || m.State != providers.Running || evenkeel == "" {
			return ssh.HostEntry{}, false, nil
		}
		words := []string{evenkeel, "ssh", "--stream", "--quiet", "--file", s.Definition.File, "--tier", s.Plan.Tier}
		if as := s.Copy(); as != "" {
			words = append(words, "--as", as)
		}
		for i, w := range append(words, m.Name) {
			if i > 0 {
				entry.ProxyCommand += " "
			}
			entry.ProxyCommand += ssh.Quote(w)
		}
		return entry, true, nil
	}
	host, text, err := net.SplitHostPort(m.SSH)
	if err == nil {
		entry.HostName = host
		entry.Port, err = strconv.Atoi(text)
	}
	if err != nil {
		return ssh.HostEntry{}, false, fmt.Errorf("cannot use the SSH address of machine %s: %w", m.Name, err)
	}
	return entry, true, nil
}

// WriteSSHConfig writes into dir, a folder of the caller's own, what `ssh -F` needs to reach the machines by name: SSHConfigName is the file to name there. Each file is replaced in
// one step. said is the private key that was named, "" for none; evenkeel the command's file, "" for unknown. Machines that OpenSSH has no way to are left out.
func (u User) WriteSSHConfig(s *Session, dir, said, evenkeel string, machines []providers.Machine) error {
	key, generated, err := u.KeyFiles(said)
	if err != nil {
		return err
	}
	if key == "" && s.Plugin.Traits.Local {
		key = generated
	}
	trusted, file := filepath.Join(dir, "known_hosts"), filepath.Join(dir, SSHConfigName)
	known := ""
	var hosts []ssh.HostEntry
	for _, m := range sortedByPlan(machines) {
		entry, ok, err := s.SSHEntry(m, evenkeel)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		line, err := ssh.KnownHosts(m.HostName(), m.Labels[providers.LabelHostCA])
		if err != nil {
			return fmt.Errorf("cannot say how to trust machine %s: %w", m.Name, err)
		}
		entry.User, entry.IdentityFile, entry.KnownHosts = s.Plan.Access.User, key, trusted
		known, hosts = known+line, append(hosts, entry)
	}
	return errors.Join(replaceFile(trusted, []byte(known)), replaceFile(file, ssh.ConfigBlock(hosts)))
}

// replaceFile writes a file for this user only, which others read whole or as it was.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
