// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/hosts"
	"github.com/evenkeel/evenkeel/providers/plugin"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// hostsHarness is three machines on loopback: one of a known key, one of a signed one, and one behind the first.
func hostsHarness(t *testing.T) conformance.Harness {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, public, err := ssh.GenerateKey("login")
	if err != nil {
		t.Fatal(err)
	}
	key := file("login", string(private))
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	var servers []*sshtest.Server
	known := "@cert-authority * " + ca.PublicKey() + "\n"
	for i := range 3 {
		hostPrivate, hostPublic, err := ssh.GenerateKey("")
		if err != nil {
			t.Fatal(err)
		}
		k := sshtest.HostKey{Private: hostPrivate}
		if i == 1 {
			if k.Certificate, err = ca.Sign(hostPublic, []string{"127.0.0.1"}, 0); err != nil {
				t.Fatal(err)
			}
		}
		s, err := sshtest.Serve(t.Context(), sshtest.Config{
			HostKeys: func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{k}, nil },
			Authorized: func(user string) []string {
				if user != fmt.Sprintf("user%d", i) {
					return nil
				}
				return []string{string(public)}
			},
			Exec: sshtest.Shell(dir), Dial: new(net.Dialer).DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		servers = append(servers, s)
		if i != 1 {
			_, port, _ := net.SplitHostPort(s.Addr())
			known += "[127.0.0.1]:" + port + " " + strings.TrimSpace(string(hostPublic)) + "\n"
		}
	}
	var blocks strings.Builder
	for i, s := range servers {
		_, port, _ := net.SplitHostPort(s.Addr())
		fmt.Fprintf(&blocks, "Host web-%d\n  HostName 127.0.0.1\n  Port %s\n  User user%d\n", i+1, port, i)
		if i == 2 {
			fmt.Fprintln(&blocks, "  ProxyJump web-1")
		}
	}
	fmt.Fprintf(&blocks, "Host *\n  IdentityFile %s\n", key)
	config, err := json.Marshal(map[string]any{
		"ssh_config": map[string]any{"file": file("ssh_config", blocks.String()), "hosts": []string{"web-*"}}, "known_hosts": file("known_hosts", known),
	})
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Harness{
		Plugin: hosts.Plugin, Config: config, Image: images.Image{Key: strings.Repeat("ab", 32), Digest: strings.Repeat("cd", 32)},
		Leaks: func() []string { return nil },
		BadConfig: []json.RawMessage{
			json.RawMessage(`{}`), json.RawMessage(`{"addresses": "web-1"}`), json.RawMessage(`{"addresses": ["web 1"]}`),
			json.RawMessage(`{"inventory": "/nowhere/hosts"}`), json.RawMessage(`{"inventory": {"command": ["true"]}}`), json.RawMessage(`{"addresses": ["a"]} {}`),
		},
	}
}

func TestHostsDirectly(t *testing.T) { conformance.Run(t, hostsHarness(t)) }

func TestHostsThroughMemory(t *testing.T) {
	h := hostsHarness(t)
	h.Plugin = plugin.InMemory(h.Plugin)
	conformance.Run(t, h)
}

func TestHostsAsAProcess(t *testing.T) {
	binaries := t.TempDir()
	build := exec.Command("go", "build", "-o", binaries, "../../cmd/env-provider-hosts")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv(pathVariable, binaries)
	h := hostsHarness(t)
	h.Leaks = func() []string { return processes(t, binaries) }
	h.Plugin.Open = func(ctx context.Context, config json.RawMessage, log hclog.Logger) (providers.Provider, error) {
		launched, err := plugin.Launch(ctx, "hosts", nil, log)
		if err != nil {
			return nil, err
		}
		if !launched.Traits.ReadOnly {
			t.Error("the process does not say that it only reads")
		}
		p, err := launched.Open(ctx, config, log)
		if err != nil {
			return nil, errors.Join(err, launched.Close())
		}
		return process{p, launched}, nil
	}
	conformance.Run(t, h)
}
