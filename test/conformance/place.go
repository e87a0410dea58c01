// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

const memory = 512 << 20

// env names an environment of this run and removes it after the test.
func (s *suite) env(t *testing.T, name string) string {
	t.Helper()
	env := s.prefix + "-" + name + ".test"
	t.Cleanup(func() {
		ctx, cancel := undoContext(t)
		defer cancel()
		if err := s.p.DeleteEnv(ctx, env, false); err != nil {
			t.Errorf("DeleteEnv: %v", err)
		}
	})
	return env
}

// spec is a machine to be, with a seed as the core makes it, and the authority that vouches for it.
func (s *suite) spec(t *testing.T, env, name string) (providers.Spec, *ssh.HostCA) {
	t.Helper()
	ca, err := ssh.NewHostCA()
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := ssh.GenerateKey("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(public, []string{name + "." + env}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	if s.identity != nil {
		keys = s.identity.PublicKeys()
	}
	spec := providers.Spec{
		Env: env, Name: name, CPUs: 1, Memory: memory, Disk: max(s.h.Image.DiskSize+1<<30, 4<<30), ImageKey: s.h.Image.Key,
		Seed: providers.Seed{Hostname: name, HostKey: private, HostCertificate: cert, User: providers.LoginUser, AuthorizedKeys: keys},
	}
	now := time.Now().UTC().Truncate(time.Second)
	spec.Labels = providers.Labels{
		providers.LabelProject:     "c0ffee",
		providers.LabelEnv:         env,
		providers.LabelName:        name,
		providers.LabelSpec:        spec.Digest(),
		providers.LabelImageKey:    s.h.Image.Key,
		providers.LabelImageDigest: s.h.Image.Digest,
		providers.LabelHostCA:      ca.PublicKey(),
		providers.LabelOwner:       "Jo Doe+ci=1@host.example:/x_y-z",
		providers.LabelCreated:     now.Format(time.RFC3339),
		providers.LabelExpires:     now.Add(2 * time.Hour).Format(time.RFC3339),
	}
	return spec, ca
}

func (s *suite) put(t *testing.T, spec providers.Spec) providers.Machine {
	t.Helper()
	m, err := s.p.PutMachine(t.Context(), spec, s.ref, nil)
	if err != nil {
		t.Fatalf("PutMachine: %v", err)
	}
	s.checkMachine(t, spec, m)
	return m
}

// checkMachine wants what PutMachine promises of the machine it returns.
func (s *suite) checkMachine(t *testing.T, spec providers.Spec, m providers.Machine) {
	t.Helper()
	if m.Env != spec.Env || m.Name != spec.Name || m.ID == "" {
		t.Errorf("got machine %q %q with ID %q, want %q %q with an ID", m.Env, m.Name, m.ID, spec.Env, spec.Name)
	}
	if m.State != providers.Running {
		t.Errorf("got state %q, want running", m.State)
	}
	_, dials := providers.As[providers.Dialer](s.p)
	if _, _, err := net.SplitHostPort(m.SSH); err != nil && (!dials || m.SSH != "") {
		t.Errorf("got SSH address %q, want host:port", m.SSH)
	}
	checkData(t, spec, m)
	if m.Created.IsZero() || time.Since(m.Created) < -time.Minute {
		t.Errorf("got creation time %v, want one in the past", m.Created)
	}
}

func (s *suite) list(t *testing.T, p providers.Provider, env string) []providers.Machine {
	t.Helper()
	ctx, cancel := undoContext(t)
	defer cancel()
	machines, err := p.ListMachines(ctx, env)
	if err != nil {
		t.Fatalf("ListMachines: %v", err)
	}
	return machines
}

// only wants exactly one machine in env.
func (s *suite) only(t *testing.T, p providers.Provider, env string) providers.Machine {
	t.Helper()
	machines := s.list(t, p, env)
	if len(machines) != 1 {
		t.Fatalf("got %d machines, want 1: %+v", len(machines), machines)
	}
	return machines[0]
}

func (s *suite) envInfo(t *testing.T, env string) (providers.EnvInfo, bool) {
	t.Helper()
	envs, err := s.p.ListEnvs(t.Context())
	if err != nil {
		t.Fatalf("ListEnvs: %v", err)
	}
	for i, e := range envs {
		if i > 0 && envs[i-1].Env >= e.Env {
			t.Errorf("ListEnvs is not sorted: %q before %q", envs[i-1].Env, e.Env)
		}
		if e.Env == env {
			return e, true
		}
	}
	return providers.EnvInfo{}, false
}

// wantGone wants that nothing of env is left.
func (s *suite) wantGone(t *testing.T, env string) {
	t.Helper()
	if machines := s.list(t, s.p, env); len(machines) > 0 {
		t.Errorf("got machines %+v, want none", machines)
	}
	if info, ok := s.envInfo(t, env); ok {
		t.Errorf("got environment %+v, want none", info)
	}
}

// wantCode wants an *Error of one of the codes that says what could not be done to what.
func wantCode(t *testing.T, err error, codes ...providers.Code) {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		t.Errorf("got %T (%v), want *providers.Error with code %v", err, err, codes)
		return
	}
	for _, c := range codes {
		if e.Code == c {
			if e.Op == "" || e.Subject == "" || e.Err == nil {
				t.Errorf("got op %q, subject %q, cause %v, want all three", e.Op, e.Subject, e.Err)
			}
			return
		}
	}
	t.Errorf("got code %q (%v), want %v", e.Code, err, codes)
}

// target is how to reach m as its labels say. Bootstrap certificates are accepted: the suite finishes no machine.
func (s *suite) target(m providers.Machine) ssh.Target {
	target := ssh.Target{Address: m.SSH, User: providers.LoginUser, HostCA: m.Labels[providers.LabelHostCA], Principal: m.HostName(), Bootstrap: true, Identity: s.identity}
	if d, ok := providers.As[providers.Dialer](s.p); ok && m.SSH == "" {
		target.DialContext = func(ctx context.Context) (net.Conn, error) { return d.DialSSH(ctx, m.ID) }
	}
	return target
}

// dial waits until m answers. The connection lasts as long as the test.
func (s *suite) dial(t *testing.T, m providers.Machine) *ssh.Client {
	t.Helper()
	client := s.connect(t, m)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *suite) connect(t *testing.T, m providers.Machine) *ssh.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.h.BootDeadline)
	defer cancel()
	for {
		client, err := ssh.Dial(ctx, s.target(m))
		if err == nil {
			return client
		}
		if !errors.Is(err, ssh.ErrUnreachable) || ctx.Err() != nil {
			t.Fatalf("machine %s does not answer within %s: %v\n%s", m.Name, s.h.BootDeadline, err, s.console(m))
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (s *suite) console(m providers.Machine) string {
	c, ok := providers.As[providers.Consoler](s.p)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b, err := c.Console(ctx, m.ID, 4<<10)
	return fmt.Sprintf("console: %s %v", providers.Printable(string(b)), err)
}

// command runs a line on the machine and returns what it printed.
func command(t *testing.T, client *ssh.Client, line string) string {
	t.Helper()
	out, err := try(t, client, line)
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return out
}

func try(t *testing.T, client *ssh.Client, line string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	err := client.Run(ctx, ssh.Command{Line: line, Stdout: &out, Stderr: &errs})
	if err != nil {
		return out.String() + errs.String(), err
	}
	return strings.TrimSpace(out.String()), nil
}

func wantLabels(t *testing.T, got, want providers.Labels) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("got labels %v, want %v", got, want)
	}
}
