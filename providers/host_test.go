// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

// existing is a place of machines that were there before us. Whatever would change it fails the test.
type existing struct {
	t        *testing.T
	machines []providers.Machine
}

func (e existing) ListMachines(context.Context, string) ([]providers.Machine, error) {
	return slices.Clone(e.machines), nil
}
func (e existing) ListEnvs(context.Context) ([]providers.EnvInfo, error) { return nil, nil }
func (e existing) Close() error                                          { return nil }
func (e existing) changed(what string) error {
	e.t.Errorf("%s was called", what)
	return errors.New("changed")
}
func (e existing) Check(context.Context, providers.Spec) ([]providers.Problem, error) {
	return nil, e.changed("Check")
}
func (e existing) PutImage(context.Context, images.Image, providers.Progress) (providers.ImageRef, error) {
	return "", e.changed("PutImage")
}
func (e existing) PutMachine(context.Context, providers.Spec, providers.ImageRef, providers.Progress) (providers.Machine, error) {
	return providers.Machine{}, e.changed("PutMachine")
}
func (e existing) DeleteMachine(context.Context, string) error   { return e.changed("DeleteMachine") }
func (e existing) DeleteEnv(context.Context, string, bool) error { return e.changed("DeleteEnv") }

// there is a machine at an address, of a kind.
func there(name, kind string, hops ...providers.Hop) providers.Machine {
	if hops == nil {
		hops = []providers.Hop{{Address: "127.0.0.1:1", Name: name, Keys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}}
	}
	return providers.Machine{ID: name, Env: "shop.prod", Name: name, State: providers.Running, Host: providers.Host{Kind: kind, Hops: hops, KnownHosts: "/home/jo/.ssh/known_hosts"}}
}

func readOnlyCore(t *testing.T, machines ...providers.Machine) *providers.Core {
	plan := &envs.Plan{Env: "shop.prod", Project: "a1b2c3", Access: envs.Access{User: "deploy"}}
	for _, name := range []string{"db-1", "web-1", "web-2", "web-3"} {
		plan.Machines = append(plan.Machines, envs.Machine{Name: name, Kind: name[:len(name)-2]})
	}
	return &providers.Core{Plan: plan, Plugin: providers.Plugin{Name: "rack", Traits: providers.Traits{ReadOnly: true}}, Provider: existing{t, machines}}
}

// A plan says how many machines of a kind there are, the place which.
func TestMachinesThatExistAreCountedByKind(t *testing.T) {
	c := readOnlyCore(t, there("app7", "web"), there("db-1b", ""), there("odd", "cache"), there("web-2", ""))
	list, err := c.Status(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range list {
		got = append(got, fmt.Sprintf("%s %s %s planned=%v", s.Name, s.Kind, s.State, s.Planned))
	}
	want := []string{
		"app7 web running planned=true", "db-1b  running planned=false", "odd cache running planned=false", "web-2 web running planned=true",
		"db-1 db  planned=true", "web-3 web  planned=true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	changes, err := c.Diff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, ch := range changes {
		got = append(got, ch.Machine+" "+string(ch.Action))
	}
	if want := []string{"app7 same", "db-1b extra", "odd extra", "web-2 same", "db-1 missing", "web-3 missing"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if reason := changes[5].Reasons[0]; reason != "provider rack lists 2 of 3 machines web, and makes none" {
		t.Errorf("got %q", reason)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMachinesThatExistAreNeverChanged(t *testing.T) {
	c := readOnlyCore(t, there("web-1", "web"))
	for what, verb := range map[string]func() error{
		"up":      func() error { _, err := c.Up(t.Context(), providers.UpOptions{Replace: true}); return err },
		"down":    func() error { _, err := c.Down(t.Context(), false); return err },
		"remove":  func() error { _, err := c.Remove(t.Context(), []string{"web-1"}); return err },
		"rebuild": func() error { _, err := c.Rebuild(t.Context(), []string{"web-1"}, providers.RollOptions{}); return err },
		"may":     func() error { return c.MayReplace(t.Context(), []string{"web-1"}, providers.RollOptions{}) },
		"refresh": func() error { _, err := c.Refresh(t.Context(), nil, providers.RollOptions{}); return err },
		"start":   func() error { _, err := c.Start(t.Context(), nil); return err },
		"stop":    func() error { _, err := c.Stop(t.Context(), nil); return err },
		"suspend": func() error { _, err := c.Suspend(t.Context(), nil); return err },
		"resume":  func() error { _, err := c.Resume(t.Context(), nil); return err },
		"sync":    func() error { _, err := c.SyncCode(t.Context(), nil, ""); return err },
		"watch":   func() error { return c.WatchCode(t.Context(), nil, nil) },
	} {
		if err := verb(); providers.CodeOf(err) != providers.Unsupported {
			t.Errorf("%s: got %v, want Unsupported", what, err)
		}
	}
}

// hop is a server on loopback that lets in login alone, and how it is known.
func hop(t *testing.T, login string, let []string) providers.Hop {
	t.Helper()
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := sshtest.Serve(t.Context(), sshtest.Config{
		HostKeys: func() ([]sshtest.HostKey, error) { return []sshtest.HostKey{{Private: private}}, nil },
		Authorized: func(user string) []string {
			if user != login {
				return nil
			}
			return let
		},
		Exec: sshtest.Shell(t.TempDir()), Dial: new(net.Dialer).DialContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return providers.Hop{Address: s.Addr(), Name: "127.0.0.1", Keys: []string{strings.TrimSpace(string(public))}}
}

func TestMachineThatExistsIsReachedAsItsPlaceSays(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	id, err := ssh.LoadIdentity("", t.TempDir()+"/id")
	if err != nil {
		t.Fatal(err)
	}
	first, last := hop(t, "jumper", id.PublicKeys()), hop(t, "deploy", id.PublicKeys())
	first.User = "jumper"
	m := there("web-1", "web", first, last)
	c := readOnlyCore(t, m, there("web-2", "web", hop(t, "x", nil)))
	c.Identity = id
	client, err := c.Dial(t.Context(), m, "")
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if got := c.User(m); got != "deploy" {
		t.Errorf("got the login %s, want the definition's", got)
	}
	if _, err := c.Dial(t.Context(), m, "other"); !errors.Is(err, ssh.ErrAuth) {
		t.Errorf("got %v, want that other is not let in", err)
	}

	list, err := c.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if s := list[0]; s.Ready == nil || !*s.Ready || s.Unreachable {
		t.Errorf("got %+v, want it ready", s)
	}
	if s := list[1]; s.Ready == nil || *s.Ready || !s.Unreachable || !strings.Contains(s.Reason, "no key of ours was accepted") {
		t.Errorf("got %+v, want why it does not let us in", s)
	}

	bad := m
	bad.Host.Hops = slices.Clone(m.Host.Hops)
	bad.Host.Hops[0].Keys = last.Keys
	_, err = c.Dial(t.Context(), bad, "")
	e, ok := errors.AsType[*providers.Error](err)
	_, port, _ := strings.Cut(first.Address, ":")
	if !ok || !errors.Is(err, ssh.ErrUntrusted) || !strings.Contains(e.Hint, "ssh-keyscan -p "+port+" 127.0.0.1 >127.0.0.1.keys") {
		t.Errorf("got %v, want the jump host untrusted, and how to trust it", err)
	}
	_, port, _ = strings.Cut(last.Address, ":")
	_, jump, _ := strings.Cut(first.Address, ":")
	if got, want := m.Host.HowToTrust(1), "ssh -p "+jump+" jumper@127.0.0.1 ssh-keyscan -p "+port+" 127.0.0.1 >"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want it to begin with %s", got, want)
	}
}

// sshd lets in few at once that have not logged in yet, and drops the others at random.
func TestFewAreOnTheirWayByOneJumpHostAtOnce(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	id, err := ssh.LoadIdentity("", t.TempDir()+"/id")
	if err != nil {
		t.Fatal(err)
	}
	first, last := hop(t, "deploy", id.PublicKeys()), hop(t, "deploy", id.PublicKeys())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := first.Address
	var now, most atomic.Int64
	var work sync.WaitGroup
	defer work.Wait()
	defer l.Close()
	work.Go(func() { // stands before the jump host, and counts who is there
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer in.Close()
				out, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer out.Close()
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(20 * time.Millisecond) // of its login
				now.Add(-1)
				go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(in, out)
			})
		}
	})
	first.Address = l.Addr().String()
	m := there("web-1", "web", first, last)
	c := readOnlyCore(t, m)
	c.Identity = id
	var dials sync.WaitGroup
	for range 40 {
		dials.Go(func() {
			client, err := c.Dial(t.Context(), m, "")
			if err != nil {
				t.Error(err)
				return
			}
			_ = client.Close()
		})
	}
	dials.Wait()
	if n := most.Load(); n < 2 || n > 10 {
		t.Errorf("%d were on their way at once, want several and at most 10", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Dial(ended, m, ""); err == nil {
		t.Error("it is dialled although nobody waits any more")
	}
}

func TestLogsAreReadOfMachinesThatExist(t *testing.T) {
	c := readOnlyCore(t, there("app7", "web"), there("db-1", ""))
	var failed []string
	err := c.Logs(t.Context(), []string{"web"}, providers.LogOptions{}, func(providers.LogRecord) error { return nil }, func(f providers.LogFailure) { failed = append(failed, f.Machine) })
	if err != nil || !slices.Equal(failed, []string{"app7"}) { // nothing listens there
		t.Errorf("got %v, and failures of %v, want app7 asked", err, failed)
	}
	err = c.Logs(t.Context(), []string{"web-9"}, providers.LogOptions{}, nil, nil)
	if providers.CodeOf(err) != providers.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}

func TestMachineWhoseWayCannotBeHonouredIsUnreachableAndSaysWhy(t *testing.T) {
	m := there("web-1", "web")
	m.Host.Hops, m.Host.Trouble = nil, "its ssh_config says ProxyCommand"
	c := readOnlyCore(t, m)
	if _, err := c.Dial(t.Context(), m, ""); providers.CodeOf(err) != providers.Unavailable || !strings.Contains(err.Error(), "says ProxyCommand") {
		t.Errorf("got %v, want Unavailable with the reason", err)
	}
	list, err := c.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if s := list[0]; !s.Unreachable || s.Ready != nil || !strings.Contains(s.Reason, "says ProxyCommand") {
		t.Errorf("got %+v, want it unreachable with the reason", s)
	}
}
