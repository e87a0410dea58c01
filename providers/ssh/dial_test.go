// SPDX-License-Identifier: Apache-2.0

package ssh_test

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

func TestDialJudgesTheHost(t *testing.T) {
	other, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	_, plain, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name      string
		keys      func(t *testing.T, r *rig) func() ([]sshtest.HostKey, error)
		target    func(*ssh.Target)
		want      error
		finished  bool
		wantInErr string
	}{
		{name: "final certificate", finished: true},
		{name: "final certificate at first contact", target: func(t *ssh.Target) { t.Bootstrap = true }, finished: true},
		{name: "bootstrap certificate", keys: cert(time.Hour, principal), want: ssh.ErrUnfinished, wantInErr: "still has the one that expires"},
		{name: "bootstrap certificate at first contact", keys: cert(time.Hour, principal), target: func(t *ssh.Target) { t.Bootstrap = true }},
		{name: "expired certificate", keys: cert(time.Nanosecond, principal), target: func(t *ssh.Target) { t.Bootstrap = true }, want: ssh.ErrUnfinished, wantInErr: "expired at"},
		{name: "other principal", keys: cert(0, "db-1.shop.laptop"), want: ssh.ErrUntrusted, wantInErr: "db-1.shop.laptop"},
		{name: "other authority", target: func(t *ssh.Target) { t.HostCA = other.PublicKey() }, want: ssh.ErrUntrusted, wantInErr: "signed by SHA256:"},
		{name: "no certificate", keys: func(t *testing.T, _ *rig) func() ([]sshtest.HostKey, error) { return hostKey(t, nil, 0) }, want: ssh.ErrUntrusted, wantInErr: "plain key"},
		{name: "no certificate at first contact", keys: func(t *testing.T, _ *rig) func() ([]sshtest.HostKey, error) { return hostKey(t, nil, 0) }, target: func(t *ssh.Target) { t.Bootstrap = true }, want: ssh.ErrUntrusted},
		{name: "other plain key", target: func(t *ssh.Target) { t.HostCA, t.HostKeys = "", []string{string(plain)} }, want: ssh.ErrUntrusted, wantInErr: "none of the 1 expected"},
		{name: "nothing to trust", target: func(t *ssh.Target) { t.HostCA = "" }, want: ssh.ErrUntrusted, wantInErr: "nothing says"},
		{name: "no principal", target: func(t *ssh.Target) { t.Principal = "" }, want: ssh.ErrUntrusted, wantInErr: "no principal"},
		{name: "broken authority", target: func(t *ssh.Target) { t.HostCA = "ssh-ed25519 nonsense" }, want: ssh.ErrUntrusted},
		{name: "no keys of ours", target: func(t *ssh.Target) { t.Identity = nil }, want: ssh.ErrAuth, wantInErr: "we have none"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				if c.keys != nil {
					r.cfg.HostKeys = c.keys(t, r)
				}
			})
			target := r.target()
			if c.target != nil {
				c.target(&target)
			}
			client, err := ssh.Dial(t.Context(), target)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got error %v, want %v", err, c.want)
			}
			if err != nil {
				if !strings.Contains(err.Error(), c.wantInErr) || !strings.HasPrefix(err.Error(), "cannot ") {
					t.Errorf("got %q, want it to begin with cannot and say %q", err, c.wantInErr)
				}
				for _, kind := range []error{ssh.ErrUntrusted, ssh.ErrUnfinished, ssh.ErrAuth, ssh.ErrUnreachable} {
					if !errors.Is(kind, c.want) && errors.Is(err, kind) {
						t.Errorf("%v is also %v", err, kind)
					}
				}
				return
			}
			defer func() { _ = client.Close() }()
			if client.Finished() != c.finished {
				t.Errorf("got finished %v, want %v", client.Finished(), c.finished)
			}
		})
	}
}

func cert(lifetime time.Duration, principals ...string) func(*testing.T, *rig) func() ([]sshtest.HostKey, error) {
	return func(t *testing.T, r *rig) func() ([]sshtest.HostKey, error) {
		return hostKey(t, r.ca, lifetime, principals...)
	}
}

func TestDialKnowsAPlainHostKey(t *testing.T) {
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(r *rig) {
		r.cfg.HostKeys = func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{{Private: private}}, nil }
	})
	target := r.target()
	target.HostCA, target.HostKeys = "", []string{string(public)}
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if c.Finished() {
		t.Error("a plain key counts as a final certificate")
	}
}

func TestDialRefusedByEveryKeyIsAuth(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.Authorized = func(string) []string { return nil } })
	_, err := ssh.Dial(t.Context(), r.target())
	if !errors.Is(err, ssh.ErrAuth) {
		t.Fatalf("got %v, want ErrAuth", err)
	}
	if want := "cannot log in to " + r.server.Addr() + " as deploy: no key of ours was accepted"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want it to begin %q", err, want)
	}
}

func TestDialEndsWithABadServer(t *testing.T) {
	for name, fault := range map[string]sshtest.Fault{
		"silent": sshtest.Silent, "hang after banner": sshtest.HangAfterBanner, "drop": sshtest.DropMidHandshake, "endless banner": sshtest.EndlessBanner,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.cfg.Fault = func() sshtest.Fault { return fault } })
			target := r.target()
			target.Timeout = 300 * time.Millisecond
			start := time.Now()
			_, err := ssh.Dial(t.Context(), target)
			if !errors.Is(err, ssh.ErrUnreachable) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("got %q, want ErrUnreachable without control characters", err)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v, want about %v", took, target.Timeout)
			}

			target.Timeout = time.Minute
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, err := ssh.Dial(ctx, target); !errors.Is(err, ssh.ErrUnreachable) {
				t.Errorf("cancelled: got %v, want ErrUnreachable", err)
			} else if fault == sshtest.Silent && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cancelled: got %v, want ctx's error in it", err)
			}
		})
	}
}

func TestDialNothingThere(t *testing.T) {
	r := newRig(t, nil)
	target := r.target()
	_ = r.server.Close()
	_, err := ssh.Dial(t.Context(), target)
	if want := "cannot reach " + target.Address + ": connection refused"; !errors.Is(err, ssh.ErrUnreachable) || err.Error() != want {
		t.Errorf("got %q, want %q matching ErrUnreachable", err, want)
	}
}

func TestDialOverAStreamOfTheCallers(t *testing.T) {
	r := newRig(t, nil)
	target := r.target()
	target.Address = ""
	target.DialContext = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", r.server.Addr())
	}
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestDialThroughAJumpHost(t *testing.T) {
	jump := newRig(t, nil)
	r := newRig(t, nil)
	via := jump.target()
	target := r.target()
	target.Via = &via
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := run(t.Context(), c, "echo hello", ""); err != nil || out != "hello\n" {
		t.Errorf("got %q, %v", out, err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("got %v from Close", err)
		}
	}

	via.HostCA = r.ca.PublicKey()
	if _, err := ssh.Dial(t.Context(), target); !errors.Is(err, ssh.ErrUntrusted) {
		t.Errorf("jump host of another authority: got %v, want ErrUntrusted", err)
	}
	via = jump.target()
	_ = r.server.Close()
	if _, err := ssh.Dial(t.Context(), target); !errors.Is(err, ssh.ErrUnreachable) {
		t.Errorf("nothing behind the jump host: got %v, want ErrUnreachable", err)
	}
}

func TestDialThroughAJumpHostThatStalls(t *testing.T) {
	jump := newRig(t, nil)
	silent := newRig(t, func(r *rig) { r.cfg.Fault = func() sshtest.Fault { return sshtest.Silent } })
	via := jump.target()
	target := silent.target()
	target.Via, target.Timeout = &via, 300*time.Millisecond
	start := time.Now()
	if _, err := ssh.Dial(t.Context(), target); !errors.Is(err, ssh.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestManyKeysAreTriedOverSeveralConnections(t *testing.T) {
	var last string
	r := newRig(t, func(r *rig) {
		r.cfg.Authorized = func(string) []string { return []string{last} }
	})
	socket, keys := agentWith(t, 12)
	t.Setenv("SSH_AUTH_SOCK", socket)
	last = keys[11]
	id, err := ssh.LoadIdentity("", "")
	if err != nil {
		t.Fatal(err)
	}
	target := r.target()
	target.Identity = id
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// frozen is a TCP relay that can stop passing anything on, without closing.
func frozen(t *testing.T, to string) (address string, freeze func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			_ = near.Close()
			return
		}
		pass := func(dst io.Writer, src io.Reader, end chan<- struct{}) {
			buf := make([]byte, 32<<10)
			for {
				n, err := src.Read(buf)
				if !stopped.Load() {
					_, _ = dst.Write(buf[:n])
				}
				if err != nil {
					close(end)
					return
				}
			}
		}
		a, b := make(chan struct{}), make(chan struct{})
		go pass(far, near, a)
		go pass(near, far, b)
		<-a // the client is gone
		_ = far.Close()
		<-b
		_ = near.Close()
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), func() { stopped.Store(true) }
}

func TestKeepAliveEndsADeadConnection(t *testing.T) {
	r := newRig(t, nil)
	target := r.target()
	address, freeze := frozen(t, r.server.Addr())
	target.Address, target.KeepAlive = address, 400*time.Millisecond
	c, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	time.Sleep(time.Second) // a few probes that are answered
	if out, _, err := run(t.Context(), c, "echo alive", ""); err != nil || out != "alive\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	freeze()
	start := time.Now()
	if _, _, err := run(t.Context(), c, "echo dead", ""); err == nil {
		t.Error("a command over a dead connection ended well")
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v, want about 1.6 s", took)
	}
}

func TestHostTextInErrorsIsEscapedAndBounded(t *testing.T) {
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(r *rig) {
		r.ca = ca
		r.cfg.HostKeys = hostKey(t, ca, 0, "evil\x1b[2J\u202e"+strings.Repeat("x", 5000))
	})
	_, err = ssh.Dial(t.Context(), r.target())
	if !errors.Is(err, ssh.ErrUntrusted) || strings.ContainsAny(err.Error(), "\x1b\u202e\n") || len(err.Error()) > 1000 {
		t.Errorf("got %d bytes: %q", len(err.Error()), err)
	}
}

func TestAnAwaitedHostIsAskedUntilItSpeaks(t *testing.T) {
	r := newRig(t, nil)
	target := r.target()
	server := target.Address
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	served := make(chan struct{})
	go func() { // as what forwards ports does: it takes connections before the machine behind it listens
		defer close(served)
		var held []net.Conn
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
			if taken.Add(1) < 3 {
				continue // mute, but not closed
			}
			back, err := net.Dial("tcp", server)
			if err != nil {
				return
			}
			held = append(held, back)
			go func() { _, _ = io.Copy(back, c) }()
			go func() { _, _ = io.Copy(c, back) }()
		}
	}()
	defer func() { _ = front.Close(); <-served }()
	target.Address, target.Awaited = front.Addr().String(), true
	client, err := ssh.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if n := taken.Load(); n != 3 {
		t.Errorf("%d connections, want two that stay mute and the one that speaks", n)
	}
	if err := client.Run(t.Context(), ssh.Command{Line: "true"}); err != nil {
		t.Errorf("a command over the connection that spoke: %v", err)
	}
}

func TestAnAwaitedHostThatNeverSpeaksEndsWithTheContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // connections wait in its queue: nobody accepts them
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, test := range map[string]struct{ address, want string }{
		"mute":    {silent.Addr().String(), "no word came yet"},
		"refused": {closed.Addr().String(), "connection refused"},
	} {
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, enough)
		_, err := ssh.Dial(ctx, ssh.Target{Address: test.address, HostCA: newRig(t, nil).target().HostCA, Principal: "x", Awaited: true})
		cancel()
		if !errors.Is(err, ssh.ErrUnreachable) || !strings.Contains(err.Error(), test.want) || !errors.Is(err, enough) {
			t.Errorf("%s: got %v, want %v, the context's cause and %q", name, err, ssh.ErrUnreachable, test.want)
		}
	}
}
