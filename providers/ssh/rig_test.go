// SPDX-License-Identifier: Apache-2.0

package ssh_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

const principal = "web-1.shop.laptop"

// rig is one machine on loopback and an identity it lets in.
type rig struct {
	ca       *ssh.HostCA
	identity *ssh.Identity
	cfg      sshtest.Config
	server   *sshtest.Server
	dir      string
}

// newRig starts a machine with a final certificate; change alters it before it starts. At the test's end no goroutine may be left.
func newRig(t *testing.T, change func(*rig)) *rig {
	t.Helper()
	settled(t)
	t.Setenv("SSH_AUTH_SOCK", "")
	r := &rig{dir: t.TempDir()}
	var err error
	if r.ca, err = ssh.NewHostCA(); err != nil {
		t.Fatal(err)
	}
	if r.identity, err = ssh.LoadIdentity("", t.TempDir()+"/id"); err != nil {
		t.Fatal(err)
	}
	r.cfg = sshtest.Config{
		HostKeys:   hostKey(t, r.ca, 0, principal),
		Authorized: func(string) []string { return r.identity.PublicKeys() },
		Exec:       sshtest.Shell(r.dir),
		Dial:       new(net.Dialer).DialContext,
	}
	if change != nil {
		change(r)
	}
	if r.server, err = sshtest.Serve(t.Context(), r.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.server.Close() })
	return r
}

func (r *rig) target() ssh.Target {
	return ssh.Target{
		Address: r.server.Addr(), User: "deploy", HostCA: r.ca.PublicKey(), Principal: principal, Identity: r.identity, Timeout: 10 * time.Second,
	}
}

func (r *rig) dial(t *testing.T) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial(t.Context(), r.target())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// hostKey is a new host key, with a certificate of ca where ca is not nil.
func hostKey(t *testing.T, ca *ssh.HostCA, lifetime time.Duration, principals ...string) func() ([]sshtest.HostKey, error) {
	t.Helper()
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	k := sshtest.HostKey{Private: private}
	if ca != nil {
		if k.Certificate, err = ca.Sign(public, principals, lifetime); err != nil {
			t.Fatal(err)
		}
	}
	return func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{k}, nil }
}

// settled fails the test where, after all its other clean-up, more goroutines run than before it.
func settled(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
	})
}

// run runs line and returns what it wrote to stdout and stderr.
func run(ctx context.Context, c *ssh.Client, line, stdin string) (string, string, error) {
	var out, errs strings.Builder
	err := c.Run(ctx, ssh.Command{Line: line, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), err
}
