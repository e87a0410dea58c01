// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/fake"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

const env = "shop.laptop"

func TestMain(m *testing.M) {
	fake.Main()
	if world := os.Getenv(victimWorld); world != "" {
		if err := playVictim(world, os.Getenv(victimDeed)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// place is an opened world and who asks.
type place struct {
	providers.Provider
	world    string
	identity *ssh.Identity
}

var image = images.Image{Key: strings.Repeat("ab", 32), Digest: strings.Repeat("cd", 32), Recipe: "web"}

func open(t *testing.T, extra map[string]any) *place {
	t.Helper()
	p := &place{world: t.TempDir()}
	config := map[string]any{"world": p.world}
	maps.Copy(config, extra)
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if p.Provider, err = fake.Plugin.Open(t.Context(), raw, nil); err != nil {
		t.Fatal(err)
	}
	if p.identity, err = ssh.LoadIdentity("", filepath.Join(t.TempDir(), "identity")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.DeleteEnv(ctx, env, false); err != nil {
			t.Errorf("DeleteEnv: %v", err)
		}
		if left := processes(p.world); len(left) > 0 {
			t.Errorf("left running: %v", left)
		}
	})
	return p
}

func (p *place) spec(t *testing.T, name string) providers.Spec {
	t.Helper()
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{name + "." + env}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return providers.Spec{Env: env, Name: name, CPUs: 1, Memory: 1 << 29, Disk: 1 << 32, ImageKey: image.Key,
		Labels: providers.Labels{providers.LabelProject: "c0ffee", providers.LabelHostCA: ca.PublicKey()},
		Seed:   providers.Seed{Hostname: name, HostKey: private, HostCertificate: cert, User: providers.LoginUser, AuthorizedKeys: p.identity.PublicKeys()}}
}

func (p *place) tryPut(t *testing.T, spec providers.Spec) (providers.Machine, error) {
	t.Helper()
	ref, err := p.PutImage(t.Context(), image, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.PutMachine(t.Context(), spec, ref, nil)
}

func (p *place) put(t *testing.T, spec providers.Spec) providers.Machine {
	t.Helper()
	m, err := p.tryPut(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *place) dial(m providers.Machine) (*ssh.Client, error) { return p.dialWithin(m, time.Minute) }

func (p *place) dialWithin(m providers.Machine, limit time.Duration) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return ssh.Dial(ctx, ssh.Target{Address: m.SSH, User: providers.LoginUser, HostCA: m.Labels[providers.LabelHostCA], Principal: m.HostName(),
		Bootstrap: true, Identity: p.identity, Timeout: limit})
}

func (p *place) shell(t *testing.T, m providers.Machine) *ssh.Client {
	t.Helper()
	c, err := p.dial(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func run(t *testing.T, c *ssh.Client, cmd ssh.Command) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd.Stdout = &out
	if cmd.Stderr == nil {
		cmd.Stderr = io.Discard
	}
	err := c.Run(ctx, cmd)
	return strings.TrimSpace(out.String()), err
}

func want(t *testing.T, c *ssh.Client, line, want string) {
	t.Helper()
	got, err := run(t, c, ssh.Command{Line: line})
	if err != nil || got != want {
		t.Errorf("%s: got %q, %v, want %q", line, got, err, want)
	}
}

// processes are those that name the world.
func processes(world string) (list []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well-formed
	for _, file := range files {
		b, _ := os.ReadFile(file) // it may have ended since
		if line := strings.ReplaceAll(string(b), "\x00", " "); strings.Contains(line, world) {
			list = append(list, filepath.Base(filepath.Dir(file))+" "+line)
		}
	}
	return list
}

func TestOrderedFailuresKeepTheirCodeAndLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, code := range providers.Codes {
		p := open(t, map[string]any{"fail": map[string]any{"put_machine": map[string]any{"code": code, "times": 2, "message": "as ordered"}}})
		for range 2 {
			_, err := p.tryPut(t, p.spec(t, "web-1"))
			if providers.CodeOf(err) != code || !strings.Contains(err.Error(), "as ordered") {
				t.Errorf("got %v (%s), want the ordered failure (%s)", err, providers.CodeOf(err), code)
			}
			if envs, err := p.ListEnvs(t.Context()); err != nil || len(envs) > 0 {
				t.Errorf("after a failed Put got %+v, %v, want nothing", envs, err)
			}
		}
	}
}

func TestFailuresAreCountedOverProcesses(t *testing.T) {
	t.Parallel()
	world := t.TempDir()
	raw := json.RawMessage(fmt.Sprintf(`{"world": %q, "fail": {"list_envs": {"code": "unavailable", "times": 2}}}`, world))
	for i, wantFailure := range []bool{true, true, false, false} {
		p, err := fake.Plugin.Open(t.Context(), raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.ListEnvs(t.Context()); (err != nil) != wantFailure {
			t.Errorf("call %d: got %v, want a failure: %v", i, err, wantFailure)
		}
	}
}

func TestLatencyIsTakenAndCancelled(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"latency": map[string]string{"list_envs": "150ms", "put_machine": "30s"}})
	begin := time.Now()
	if _, err := p.ListEnvs(t.Context()); err != nil || time.Since(begin) < 150*time.Millisecond {
		t.Errorf("got %v after %s, want success after 150ms", err, time.Since(begin))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.PutMachine(ctx, p.spec(t, "web-1"), "", nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 25*time.Second {
		t.Errorf("got %v after %s, want the deadline at once", err, time.Since(begin))
	}
}

func TestSilentMachineIsUnreachable(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"silent_ssh": true})
	if _, err := p.dialWithin(p.put(t, p.spec(t, "web-1")), 2*time.Second); !errors.Is(err, ssh.ErrUnreachable) {
		t.Errorf("got %v, want %v", err, ssh.ErrUnreachable)
	}
}

func TestMachineWithAnotherHostKeyIsUntrusted(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"wrong_host_key": true})
	if _, err := p.dial(p.put(t, p.spec(t, "web-1"))); !errors.Is(err, ssh.ErrUntrusted) {
		t.Errorf("got %v, want %v", err, ssh.ErrUntrusted)
	}
}

func TestBootTakesTheOrderedTime(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"boot": "5s"})
	began := time.Now()
	m := p.put(t, p.spec(t, "web-1"))
	if _, err := p.dialWithin(m, time.Second); !errors.Is(err, ssh.ErrUnreachable) {
		t.Errorf("while it boots got %v, want %v", err, ssh.ErrUnreachable)
	}
	for {
		c, err := p.dialWithin(m, 30*time.Second)
		if errors.Is(err, ssh.ErrUnreachable) && time.Since(began) < time.Minute {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want(t, c, "echo up", "up")
		break
	}
}

func TestCommandsSeeTheMachineAndNothingOfTheHost(t *testing.T) {
	t.Setenv("SHOP_DB_PASSWORD", "hunter2")
	p := open(t, nil)
	spec := p.spec(t, "web-1")
	spec.CPUs = 3
	c := p.shell(t, p.put(t, spec))
	want(t, c, "env | grep -c hunter2; true", "0")
	want(t, c, "tr '\\0' '\\n' </proc/1/environ | grep -c hunter2; true", "0")
	want(t, c, "pwd; echo $USER; nproc; uname -n", "/home/evenkeel\nevenkeel\n3\nweb-1")
	want(t, c, "ls -d "+p.world+" 2>/dev/null; true", "")
	want(t, c, "sudo -n sh -c 'echo x >>/usr/bin/bash' 2>/dev/null || echo refused; touch /usr/lib/x 2>/dev/null || echo refused", "refused\nrefused")
	want(t, c, fmt.Sprintf("kill -0 %d 2>/dev/null || echo no such process", os.Getpid()), "no such process")
	want(t, c, "echo mine >/etc/motd && cat /etc/motd", "mine")
	if b, err := os.ReadFile("/etc/motd"); err == nil && strings.Contains(string(b), "mine") {
		t.Error("a command wrote to the host's /etc")
	}
}

func TestStreamsStatusAndSignals(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	c := p.shell(t, p.put(t, p.spec(t, "web-1")))
	big := strings.Repeat("0123456789abcdef", 1<<16)
	got, err := run(t, c, ssh.Command{Line: "cat", Stdin: strings.NewReader(big)})
	if err != nil || got != big {
		t.Errorf("cat gives %d bytes, %v, want the %d of its input", len(got), err, len(big))
	}
	for line, status := range map[string]int{"exit 7": 7, "kill -TERM $$": 128 + int(syscall.SIGTERM), "no-such-program": 127} {
		_, err := run(t, c, ssh.Command{Line: line})
		exit, ok := errors.AsType[*ssh.ExitError](err)
		if !ok || exit.Status != status {
			t.Errorf("%s: got %v, want status %d", line, err, status)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Run(ctx, ssh.Command{Line: "echo $$ >pid; exec sleep 60"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	want(t, c, "for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $(cat pid) 2>/dev/null || break; sleep 0.3; done; kill -0 $(cat pid) 2>/dev/null || echo gone", "gone")
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	c := p.shell(t, p.put(t, p.spec(t, "web-1")))
	got, err := run(t, c, ssh.Command{Line: "test -t 0 && stty size && echo $TERM", TTY: &ssh.TTY{Term: "xterm-256color", Width: 91, Height: 17}})
	if err != nil || strings.ReplaceAll(got, "\r", "") != "17 91\nxterm-256color" {
		t.Errorf("got %q, %v, want the terminal's size and kind", got, err)
	}
}

func TestUnitsAreRecorded(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	c := p.shell(t, p.put(t, p.spec(t, "web-1")))
	want(t, c, "systemctl is-active nginx; systemctl --quiet start nginx.service && systemctl is-active nginx; systemctl stop nginx; systemctl is-active nginx || echo $?", "inactive\nactive\ninactive\n3")
	want(t, c, "sudo -n systemctl reload ssh && systemctl is-active ssh && systemctl is-system-running", "active\nrunning")
	want(t, c, "head -2 /var/log/systemctl", "is-active nginx\n--quiet start nginx.service")
}

func TestPageIsServedThroughThePublishedPortAsTheFirewallAllows(t *testing.T) {
	t.Parallel()
	p := open(t, map[string]any{"http": []int{80}})
	spec := p.spec(t, "web-1")
	spec.Publish = []providers.Port{{Port: 80, Proto: "tcp"}}
	m := p.put(t, spec)
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	url := fmt.Sprintf("http://127.0.0.1:%d/", m.Ports[0].HostPort)
	if resp, err := client.Get(url); err == nil {
		resp.Body.Close()
		t.Error("the page comes through a firewall that does not allow it")
	}
	if _, err := run(t, p.shell(t, m), ssh.Command{Line: "sudo -n nft add rule inet evenkeel input tcp dport 80 accept"}); err != nil {
		t.Fatal(err)
	}
	client.Timeout = 10 * time.Second
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "web-1\n" {
		t.Errorf("got %q, %v, want the machine's name", body, err)
	}
}

func TestDatagramsPassThePublishedPort(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	spec := p.spec(t, "web-1")
	spec.Publish = []providers.Port{{Port: 5353, Proto: "udp"}}
	m := p.put(t, spec)
	echo := `nft add rule inet evenkeel input udp dport 5353 accept; setsid perl -MIO::Socket::INET -e '` +
		`$s=IO::Socket::INET->new(LocalPort=>5353,Proto=>"udp") or exit 1;while(defined($s->recv($b,99))){$s->send("echo $b")}' </dev/null >/dev/null 2>&1 & sleep 0.5`
	if _, err := run(t, p.shell(t, m), ssh.Command{Line: echo}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", m.Ports[0].HostPort))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := make([]byte, 100)
	for i := range 3 { // two on one connection, and datagrams may be lost
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := fmt.Fprintf(conn, "hello %d", i); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(b); err != nil || string(b[:n]) != fmt.Sprintf("echo hello %d", i) {
			t.Errorf("got %q, %v, want it echoed", b[:n], err)
		}
	}
}

func TestKilledMachineIsStoppedAndStartsAgain(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for _, role := range []string{" machine ", " network "} { // without its network a machine ends too
		m := p.put(t, p.spec(t, "web-1"))
		for _, line := range processes(p.world) {
			var pid int
			if _, err := fmt.Sscan(line, &pid); err == nil && strings.Contains(line, role) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		var list []providers.Machine
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			var err error
			if list, err = p.ListMachines(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			if list[0].State == providers.Stopped {
				break
			}
		}
		if list[0].State != providers.Stopped || list[0].ID != m.ID {
			t.Fatalf("after the kill of%sgot %+v, want it stopped", role, list[0])
		}
		again := p.put(t, p.spec(t, "web-1"))
		if again.ID != m.ID {
			t.Errorf("got another machine %+v, want %+v started", again, m)
		}
		want(t, p.shell(t, again), "uname -n", "web-1")
	}
}

func TestMachinesEndWhenTheirWorldVanishes(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	p.put(t, p.spec(t, "web-1"))
	p.put(t, p.spec(t, "db-1"))
	if err := os.RemoveAll(filepath.Join(p.world, "envs")); err != nil {
		t.Fatal(err)
	}
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left = processes(p.world); len(left) == 0 {
			return
		}
	}
	t.Errorf("still running: %v", left)
}

func TestNothingSecretIsInRecordsOrArguments(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	spec := p.spec(t, "web-1")
	p.put(t, spec)
	secret := strings.Split(string(spec.Seed.HostKey), "\n")[2]
	for _, line := range processes(p.world) {
		if strings.Contains(line, secret) {
			t.Errorf("a process shows the host key in its arguments: %s", line)
		}
	}
	err := filepath.WalkDir(p.world, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if info, statErr := d.Info(); statErr == nil && strings.Contains(string(b), secret) && (!strings.HasSuffix(path, providers.PathHostKey) || info.Mode().Perm() != 0o600) {
			t.Errorf("the host key is in %s (%v)", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func FuzzConfigNeverPanics(f *testing.F) {
	f.Add([]byte(`{"world": "/x", "latency": {"check": "1s"}, "fail": {"check": {"code": "invalid"}}, "http": [80]}`))
	f.Add([]byte(`{"world": "/x"} x`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := fake.Plugin.Open(t.Context(), raw, nil); err != nil && providers.CodeOf(err) != providers.Invalid {
			t.Errorf("got %v, want Invalid", err)
		}
	})
}
