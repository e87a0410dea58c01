// SPDX-License-Identifier: Apache-2.0

package sshtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

func config(t *testing.T) (sshtest.Config, ssh.Target) {
	t.Helper()
	t.Setenv("SSH_AUTH_SOCK", "")
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{"m"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ssh.LoadIdentity("", t.TempDir()+"/id")
	if err != nil {
		t.Fatal(err)
	}
	return sshtest.Config{
		HostKeys: func() ([]sshtest.HostKey, error) {
			return []sshtest.HostKey{{Private: private, Certificate: cert}}, nil
		},
		Authorized: func(user string) []string { return map[string][]string{"deploy": id.PublicKeys()}[user] },
		Exec:       sshtest.Shell(t.TempDir()),
	}, ssh.Target{User: "deploy", HostCA: ca.PublicKey(), Principal: "m", Identity: id, Timeout: 10 * time.Second}
}

func serve(t *testing.T, cfg sshtest.Config, target ssh.Target) (*sshtest.Server, ssh.Target) {
	t.Helper()
	s, err := sshtest.Serve(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	target.Address = s.Addr()
	return s, target
}

func TestServeAnswersOnLoopbackOnly(t *testing.T) {
	cfg, _ := config(t)
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "localhost:0", "192.0.2.1:0", "nonsense"} {
		cfg.Address = address
		if s, err := sshtest.Serve(t.Context(), cfg); err == nil {
			_ = s.Close()
			t.Errorf("%s: served", address)
		}
	}
	if _, err := sshtest.Serve(t.Context(), sshtest.Config{}); err == nil {
		t.Error("served without host keys, users and commands")
	}
}

func TestHostKeysAreReadAtEachConnection(t *testing.T) {
	cfg, target := config(t)
	keys := cfg.HostKeys
	var gone atomic.Bool
	cfg.HostKeys = func() ([]sshtest.HostKey, error) {
		if gone.Load() {
			return nil, errors.New("no keys now")
		}
		return keys()
	}
	_, target = serve(t, cfg, target)
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	gone.Store(true)
	if _, err := ssh.Dial(t.Context(), target); !errors.Is(err, ssh.ErrUnreachable) {
		t.Errorf("without host keys: got %v, want ErrUnreachable", err)
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	cfg, target := config(t)
	_, target = serve(t, cfg, target)
	target.User = "root"
	if _, err := ssh.Dial(t.Context(), target); !errors.Is(err, ssh.ErrAuth) {
		t.Errorf("got %v, want ErrAuth", err)
	}
}

func TestCloseEndsCommandsAndWaitsForThem(t *testing.T) {
	cfg, target := config(t)
	entered, left := make(chan struct{}), false
	cfg.Exec = func(ctx context.Context, _ *sshtest.Session) int {
		close(entered)
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		left = true
		return 0
	}
	s, target := serve(t, cfg, target)
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context(), ssh.Command{Line: "x"}) }()
	<-entered
	_ = s.Close()
	if !left {
		t.Error("Close returned before the command did")
	}
	if err := <-ended; err == nil {
		t.Error("a command cut off ended well")
	}
}

func TestForwardKeepsTheOtherHalfOpen(t *testing.T) {
	cfg, target := config(t)
	_, refused := serve(t, cfg, target)
	c, err := ssh.Dial(t.Context(), refused)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "forwarding is off") {
		t.Errorf("no Dial: got %v", err)
	}
	_ = c.Close()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() { // answers only after the client's half is closed
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		said, _ := io.ReadAll(conn)
		_, _ = conn.Write([]byte(strings.ToUpper(string(said))))
	}()
	cfg.Dial = new(net.Dialer).DialContext
	_, target = serve(t, cfg, target)
	if c, err = ssh.Dial(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	conn, err := c.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "hello")
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "HELLO" {
		t.Errorf("got %q, %v", got, err)
	}
}
