// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/docker"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// TestDaemonOverTCP reaches this computer's docker through a port on loopback.
func TestDaemonOverTCP(t *testing.T) {
	conformance.Require(t, "docker", reach(t))
	oneMachine(t, `{"host": "tcp://`+relayTo(t, "/var/run/docker.sock")+`"}`, "conftcp.test", conformance.SmallImage(t, docker.Plugin().Formats))
}

// relayTo serves a Unix socket at the address it returns.
func relayTo(t *testing.T, socket string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // closed
			}
			out, err := net.Dial("unix", socket)
			if err != nil {
				_ = in.Close()
				continue
			}
			work.Go(func() { pass(in.(*net.TCPConn), out.(*net.UnixConn)) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); work.Wait() })
	return l.Addr().String()
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// pass passes on bytes, and that one side has no more.
func pass(a, b halfCloser) {
	var both sync.WaitGroup
	for _, c := range [][2]halfCloser{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(c[0], c[1]) // ends with either side
			_ = c[0].CloseWrite()
		})
	}
	both.Wait()
	_ = a.Close()
	_ = b.Close()
}

// TestDaemonOverSSH reaches this computer's docker through an SSH server of the test's own, by the user's ssh and its configuration.
func TestDaemonOverSSH(t *testing.T) {
	conformance.Require(t, "docker", reach(t))
	name := sshServer(t)
	oneMachine(t, `{"host": "ssh://`+name+`"}`, "confssh.test", conformance.SmallImage(t, docker.Plugin().Formats))

	_, err := docker.Plugin().Open(t.Context(), json.RawMessage(`{"host": "ssh://nobody-there"}`), nil)
	if hint := wantError(t, err, providers.Unavailable, "nobody-there"); !strings.Contains(hint, "ssh nobody-there docker version") {
		t.Errorf("got hint %q, want what to try", hint)
	}
}

// sshServer starts an SSH server on loopback and puts an ssh first in PATH that knows it under the name it returns, and nobody else.
func sshServer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	host, hostPublic, err := ssh.GenerateKey("host")
	if err != nil {
		t.Fatal(err)
	}
	login, loginPublic, err := ssh.GenerateKey("login")
	if err != nil {
		t.Fatal(err)
	}
	run := sshtest.Shell(dir)
	server, err := sshtest.Serve(context.WithoutCancel(t.Context()), sshtest.Config{ // also for what is cleaned up
		HostKeys:   func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{{Private: host}}, nil },
		Authorized: func(string) []string { return []string{string(loginPublic)} },
		Exec: func(ctx context.Context, s *sshtest.Session) int {
			if s.Command != "docker system dial-stdio" {
				t.Errorf("the far side is asked for %q", s.Command)
			}
			return run(ctx, s)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(server.Addr())
	for name, text := range map[string]string{
		"id":          string(login),
		"known_hosts": "far-away " + string(hostPublic),
		"ssh_config": fmt.Sprintf("Host far-away\n\tHostName 127.0.0.1\n\tHostKeyAlias far-away\n\tPort %s\n\tIdentityFile %s\n\tIdentitiesOnly yes\n\tUserKnownHostsFile %s\n\tStrictHostKeyChecking yes\n",
			port, at("id"), at("known_hosts")),
		"bin/ssh": "#!/bin/sh\nexec /usr/bin/ssh -F " + at("ssh_config") + " \"$@\"\n",
	} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if name == "bin/ssh" {
			mode = 0o700
		}
		if err := os.WriteFile(at(name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", at("bin")+":"+os.Getenv("PATH"))
	return "far-away"
}

// oneMachine makes a machine in a place and wants it to be whole: reached through the daemon, all its services running, its firewall loaded, its limits seen; again
// after a restart.
func oneMachine(t *testing.T, config, env string, img images.Image) {
	t.Helper()
	p, err := docker.Plugin().Open(t.Context(), json.RawMessage(config), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := p.DeleteEnv(ctx, env, false); err != nil {
			t.Error(err)
		}
		if envs, err := p.ListEnvs(ctx); err != nil || len(envs) > 0 && envs[0].Env == env {
			t.Errorf("got %+v, %v, want nothing left", envs, err)
		}
	})
	ref, err := p.PutImage(t.Context(), img, nil)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{"box-1." + env}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := ssh.LoadIdentity("", filepath.Join(t.TempDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.PutMachine(t.Context(), providers.Spec{
		Env: env, Name: "box-1", CPUs: 1, Memory: 512 << 20, ImageKey: img.Key,
		Data:    []providers.Data{{Name: "files", Size: 1 << 20, Mount: "/srv/files"}},
		Publish: []providers.Port{{Port: 80, Proto: "tcp"}},
		Labels:  providers.Labels{providers.LabelProject: "c0ffee", providers.LabelHostCA: ca.PublicKey()},
		Seed:    providers.Seed{Hostname: "box-1", HostKey: private, HostCertificate: cert, User: providers.LoginUser, AuthorizedKeys: identity.PublicKeys()},
	}, ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		client := dialThroughDaemon(ctx, t, p, m, ca, identity)
		for line, want := range map[string]string{
			"systemctl is-system-running --wait": "running",
			"nproc":                              "1",
			"uname -n":                           "box-1",
			"sudo -n nft list table inet evenkeel | grep -c policy.drop":                                                   "2",
			"grep -c ' /srv/files ' /proc/self/mountinfo":                                                                  "1",
			"grep -hx 536870912 /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true": "536870912",
			"grep CapBnd /proc/1/status | tr -d '[:space:]'":                                                               "CapBnd:00000000200c35fb", // without CAP_SYS_ADMIN, 0x200000
		} {
			var out bytes.Buffer
			if err := client.Run(ctx, ssh.Command{Line: line, Stdout: &out, Stderr: &out}); err != nil || strings.TrimSpace(out.String()) != want {
				t.Errorf("%s: got %q, %v, want %q", line, out.String(), err, want)
			}
		}
		_ = client.Close()
		cancel()
		if err := p.(providers.Starter).StopMachine(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		if m, err = p.(providers.Starter).StartMachine(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// dialThroughDaemon waits for the machine's sshd, by way of the daemon.
func dialThroughDaemon(ctx context.Context, t *testing.T, p providers.Provider, m providers.Machine, ca *ssh.HostCA, identity *ssh.Identity) *ssh.Client {
	t.Helper()
	for {
		client, err := ssh.Dial(ctx, ssh.Target{
			User: providers.LoginUser, HostCA: ca.PublicKey(), Principal: m.Name + "." + m.Env, Bootstrap: true, Identity: identity,
			DialContext: func(ctx context.Context) (net.Conn, error) { return p.(providers.Dialer).DialSSH(ctx, m.ID) },
		})
		if err == nil {
			return client
		}
		if ctx.Err() != nil {
			said, _ := p.(providers.Consoler).Console(context.WithoutCancel(ctx), m.ID, 4<<10) // best effort
			t.Fatalf("the machine does not answer: %v\n%s", err, said)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
